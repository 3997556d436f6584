"""What each table of the paper compares: its rows, the row that each is held against, and the paper's numbers.

A row is a cfg, or a cfg with flags in a sweep. The numbers of the LCN paper are the AUC and GAUC that it gives, None
where we do not know them: for industrial logs, in Table 5 for public ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
      name: in the table.
      cfg: flag file in `experiments/configs`.
      against: name of the row that it is compared with; None for a table's baseline.
      paper_auc, paper_gauc: in the paper, on the data of its table.
      flags: beside those of the cfg.
      trials: flags of each trial that `--tune` chooses between; () where nothing is tuned.
      selects: whether the model passes only some events on, so that its consistency means something.
    """

    name: str
    cfg: str
    against: str | None = None
    paper_auc: float | None = None
    paper_gauc: float | None = None
    flags: tuple[str, ...] = ()
    selects: bool = True
    trials: tuple[tuple[str, ...], ...] = ()


@dataclasses.dataclass(frozen=True)
class Table:
    """A comparison.

    Attributes:
      key: name of its files.
      title: of the table.
      rows: in the order of the table.
      with_seeds: whether its intervals are over users and seeds together, not over users alone.
      tuning_seed: of the trials. One that is no seed of the rows gives tuned rows no lucky seed, and costs a run each.
    """

    key: str
    title: str
    rows: tuple[Row, ...]
    with_seeds: bool = False
    tuning_seed: int = 1

    def __post_init__(self):
        names = [row.name for row in self.rows]
        unknown = [row.against for row in self.rows if row.against not in (None, *names)]
        if unknown or len(set(names)) < len(names):
            raise ValueError(f"{self.key}: rows must have different names and be compared with one another, got "
                             f"{names}, compared with {unknown}")


_TEMPERATURES_OF_CRP = tuple((f"--crp.temperature={value}",) for value in (0.1, 0.2, 0.3, 0.5))
_NO_PYRAMID = "no pyramid: SIM Soft by inner product with CRP"  # CSA's search and one attention
_WITHOUT_CRP = Row("LCN-200-50 without CRP", "lcn_without_crp.cfg", None, 0.7237, 0.6379)
_LCN = Row("LCN-200-50", "lcn_200_50.cfg", _WITHOUT_CRP.name, 0.7294, 0.6423)
_PRINTED = Row("LCN-200-50, levels as printed", "lcn_200_50.cfg", _LCN.name, flags=("--lap.level_norm=none",))


def _compared(row: Row, against: str | None) -> Row:
    return dataclasses.replace(row, against=against)


def _items_alone(name: str, model: str, against: str) -> Row:
    """A model whose paper gives its last stage items without context; `model` is its cfg."""
    prefix = f"lifelong_{model}" if model in ("din", "dien") else model
    return Row(f"{name} as published, items alone", f"{model}.cfg", against, flags=(f"--{prefix}.context=false",))


def _baselines() -> tuple[Row, ...]:
    short, recent = "short histories only", "50 most recent events"
    bounds = (
        Row(short, "short_only.cfg"),
        Row("mean of all events", "mean_pool.cfg", short),
        Row("50 random events", "random_k.cfg", short),
        Row(recent, "recent_k.cfg", short),
        Row("attention to all events", "full_attention.cfg", recent),
        Row("DIN over all events", "din.cfg", recent),
        _items_alone("DIN", "din", recent),
        Row("DIEN, 100 most recent events", "dien.cfg", recent),
        _items_alone("DIEN", "dien", recent),
        Row("SIM Hard", "sim_hard.cfg", recent),
    )
    sim = (0.7196, 0.6342, 0.7255, 0.6375)  # LCN's Table 2 does not say which search
    paper = (("SIM Soft", "sim", *sim), ("SIM Soft by inner product", "sim_inner", *sim),
             ("ETA", "eta", 0.7166, 0.6328, 0.7204, 0.6365), ("SDIM", "sdim", 0.7153, 0.6330, 0.7192, 0.6358),
             ("TWIN", "twin", 0.7212, 0.6355, 0.7265, 0.6391))
    pairs = []
    for name, cfg, auc, gauc, crp_auc, crp_gauc in paper:
        pairs += [Row(name, f"{cfg}.cfg", recent, auc, gauc),
                  Row(f"{name} with CRP", f"{cfg}_crp.cfg", name, crp_auc, crp_gauc, trials=_TEMPERATURES_OF_CRP)]
        if cfg == "sim":
            softmax, flags = f"{name}, softmax search", ("--sim.gsu_pool=softmax",)
            pairs += [Row(softmax, "sim.cfg", recent, flags=flags),
                      Row(f"{softmax}, with CRP", "sim_crp.cfg", softmax, flags=flags, trials=_TEMPERATURES_OF_CRP)]
        if cfg in ("eta", "sdim"):
            pairs.append(_items_alone(name, cfg, recent))
    lcn = (dataclasses.replace(row, trials=_TEMPERATURES_OF_CRP) for row in (_LCN, _PRINTED))
    return (*bounds, *pairs, _compared(_WITHOUT_CRP, recent), *lcn)


# Objectives that have a temperature: the default and another one. CL4SRec's inner products are of vectors of length 8,
# so that 8 is what 0.125 is for cosines.
_TEMPERATURES = {"crp": (0.2, 0.5), "bert4rec": (1.0, 0.5), "clrec": (0.07, 0.2), "ssl": (0.1, 0.3),
                 "at4ctr": (0.1, 0.3), "cl4srec": (1.0, 8.0)}
_WEIGHTS = (0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)  # the paper's grid for CRP's
_FEWER_WEIGHTS = (0.01, 0.1, 0.5, 2)
# CL4CTR sums over the width where others take means: with the smallest weight of the grid the gradient of its tables
# would still be several times that of the clicks.
_SCALE = {"cl4ctr": 0.1}
TRIED_APART = 101  # no table has as many seeds


def trials_of(objective: str) -> tuple[tuple[str, ...], ...]:
    """Eight for every objective: weights, or half of them by two temperatures."""
    if objective not in _TEMPERATURES:
        return tuple((f"--{objective}.weight={weight * _SCALE.get(objective, 1):g}",) for weight in _WEIGHTS)
    return tuple((f"--{objective}.weight={weight}", f"--{objective}.temperature={temperature}")
                 for weight in _FEWER_WEIGHTS for temperature in _TEMPERATURES[objective])


def _objectives(key: str, title: str, name: str, cfg: str, with_models: bool) -> Table:
    """Every objective beside one model, which is the baseline; the paper's numbers are of LCN on public data."""
    paper = {"DSS": (0.6107, 0.5790), "BERT4Rec": (0.6122, 0.5797), "SQN": (0.6100, 0.5787), "SAC": (0.6104, 0.5790),
             "SSL": (0.6111, 0.5792), "CLRec": (0.6123, 0.5799), "AT4CTR": (0.6117, 0.5793),
             "CL4CTR": (0.6115, 0.5791), "CL4SRec": (0.6122, 0.5798)}
    alone = f"{name} without an objective"
    rows = []
    for objective, numbers in paper.items():
        prefix = objective.lower()
        path, flags = (f"lcn_{prefix}.cfg", ()) if cfg == "lcn" else (f"{cfg}.cfg", (f"--model.objectives={prefix}",))
        rows.append(Row(objective, path, alone, *(numbers if cfg == "lcn" else ()), flags=flags,
                        trials=trials_of(prefix)))
    if not with_models:
        return Table(key, title, (Row(alone, f"{cfg}.cfg"), *rows,
                                  Row("CRP", f"{cfg}_crp.cfg", alone, trials=trials_of("crp"))),
                     with_seeds=True, tuning_seed=TRIED_APART)
    models = [Row("SIM Soft", "sim.cfg", alone, 0.6071, 0.5762), Row("ETA", "eta.cfg", alone, 0.6055, 0.5748),
              Row("SDIM", "sdim.cfg", alone, 0.6038, 0.5734), Row("TWIN", "twin.cfg", alone, 0.6087, 0.5776)]
    crp = [Row("CRP without LAP: SIM Soft by inner product", "sim_inner_crp.cfg", alone, 0.6128, 0.5808,
               trials=trials_of("crp")),
           Row("CRP: LCN-200-50", "lcn_200_50.cfg", alone, 0.6143, 0.5820, trials=trials_of("crp")),
           Row("CRP: LCN-500-100", "lcn_500_100.cfg", alone, 0.6145, 0.5820, trials=trials_of("crp"))]
    baseline = Row(alone, "lcn_without_crp.cfg", None, 0.6098, 0.5786)
    return Table(key, title, (*models, baseline, *rows, *crp), with_seeds=True, tuning_seed=TRIED_APART)


TABLES = {
    "1": Table("table_1", "Table 1: CRP's terms", (
        _WITHOUT_CRP,
        Row("target pairs only", "lcn_pt.cfg", _WITHOUT_CRP.name),
        Row("source pairs only", "lcn_ps.cfg", _WITHOUT_CRP.name),
        Row("cross pairs only", "lcn_pc.cfg", _WITHOUT_CRP.name),
        Row("target and source pairs", "lcn_pt_ps.cfg", _WITHOUT_CRP.name, 0.7250, 0.6391),
        _LCN)),
    "2": Table("table_2", "Table 2: lifelong models with and without CRP", _baselines()),
    "3": Table("table_3", "Table 3: events passed to MSA (K1) and FSA (K2), all with CRP", (
        Row(_NO_PYRAMID, "sim_inner_crp.cfg", None, 0.7255, 0.6375),
        Row("K1 50, without FSA", "lcn_50_none.cfg", _NO_PYRAMID, 0.7266, 0.6388),
        Row("without MSA, K2 50", "lcn_none_50.cfg", _NO_PYRAMID, 0.7297, 0.6424),
        Row("K1 50, K2 50", "lcn_50_all.cfg", _NO_PYRAMID),
        Row("K1 100, K2 50", "lcn_100_50.cfg", _NO_PYRAMID),
        _compared(_LCN, _NO_PYRAMID),
        Row("K1 500, K2 50", "lcn_500_50.cfg", _LCN.name),
        Row("K1 500, K2 100", "lcn_500_100.cfg", _LCN.name),
        Row("K1 all, K2 50", "lcn_all_50.cfg", _LCN.name, 0.7297, 0.6424),
        Row("K1 all, K2 all", "lcn_all_all.cfg", _LCN.name))),
    "4": Table("table_4", "Table 4: the source domain alone and both domains", (
        Row("single domain", "lcn_single_domain.cfg"),
        _WITHOUT_CRP,
        _LCN)),
    "5": _objectives("table_5", "Table 5: auxiliary objectives beside LCN-200-50", _LCN.name, "lcn", True),
    "5-sim": _objectives("table_5_sim", "Table 5 with SIM Soft in LCN's place", "SIM Soft", "sim", False),
}

_ALL, _ALL_LCN = "attention to all events", "LCN, no selection"


def _selecting(name: str, model: str) -> tuple[Row, Row]:
    """A model, and itself with room for every event (no data set's preset has more than 2,000)."""
    every = f"{name}, no selection"
    return Row(name, f"{model}.cfg", every), Row(every, f"{model}.cfg", flags=(f"--{model}.top_k=2000",), selects=False)


# Their item embeddings are looked at.
FIGURE_4 = Table("figure_4", "Figure 4: item embeddings with and without CRP", (_WITHOUT_CRP, _LCN))

# Compared with the same model that passes every event on: the difference is what selecting costs.
FIGURE_5 = Table("figure_5", "Figure 5: does the attention get the events it would choose?", (
    Row("50 random events", "random_k.cfg", _ALL),
    Row(_ALL, "full_attention.cfg"),
    *_selecting("SIM Soft", "sim"),
    *_selecting("ETA", "eta"),
    *_selecting("TWIN", "twin"),
    _compared(_WITHOUT_CRP, None),
    Row("LCN-50-50", "lcn_50_all.cfg", _ALL_LCN),
    Row("LCN-100-50", "lcn_100_50.cfg", _ALL_LCN),
    _compared(_LCN, _ALL_LCN),
    Row("LCN-500-50", "lcn_500_50.cfg", _ALL_LCN),
    Row(_ALL_LCN, "lcn_all_all.cfg", selects=False),
    Row("LCN-200-50, FSA's interest alone", "lcn_last.cfg"),  # its MSA gets no gradient; the next one's is FSA's
    Row("LCN-200-50, FSA's interest alone, shared projections", "lcn_last.cfg", flags=("--lap.share_msa_fsa=true",)),
    Row("LCN-200-50, MSA shares FSA's projections", "lcn_shared_ranking.cfg")))

_SWEPT: dict[str, Sequence[float]] = {
    "crp.weight": _WEIGHTS,
    "crp.temperature": (0.05, 0.1, 0.2, 0.5, 1),
    "crp.num_negatives": (64, 128, 512, 1024, 2048, 4096),
}


def _sweep(flag: str, values: Sequence[float]) -> Table:
    rows = (Row(f"{flag}={value}", _LCN.cfg, _WITHOUT_CRP.name, flags=(f"--{flag}={value}",)) for value in values)
    return Table(f"sweep_{flag}", f"LCN-200-50 by {flag}", (_WITHOUT_CRP, *rows))


SWEEPS = {flag: _sweep(flag, values) for flag, values in _SWEPT.items()}


def _choice(key: str, title: str, options: Sequence[tuple[str, ...]]) -> Table:
    rows = (Row(" ".join([_LCN.cfg, *(flag.removeprefix("--") for flag in flags)]), _LCN.cfg, flags=flags)
            for flags in options)
    return Table(f"choice_{key}", title, tuple(rows))


# What defaults are chosen by, on validation days.
CHOICES = {
    "level_norm": _choice("level_norm", "LCN-200-50 by the size of its levels' interests", (
        ("--lap.level_norm=candidate",),
        ("--lap.level_norm=none", "--lap.csa_pool=sum"),  # as printed
        ("--lap.level_norm=none", "--lap.csa_pool=mean"),
        ("--lap.level_norm=rms",))),
    "recent_events": _choice("recent_events", "LCN-200-50 with all of its history and with the newest 24 events", (
        (), ("--data.lifelong_length=24",))),
    "regularisation": _choice("regularisation", "LCN-200-50 against overfitting", (
        (), ("--train.monitor=logloss",), ("--tower.input_dropout=0.3",), ("--tower.dropout=0.3",),
        ("--embeddings.l2=1e-5",), ("--train.weight_decay=0.01",),
        ("--train.warmup_steps=100", "--train.decay=cosine"))),
    "initializer": _choice("initializer", "LCN by its tables' initial values: alone, with CRP, with CLRec", tuple(
        (*objective, f"--embeddings.initializer={name}")
        for objective in (("--model.objectives=",), (), ("--model.objectives=clrec",))
        for name in ("glorot_uniform", "unit_normal"))),
}
