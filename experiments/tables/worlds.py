"""What is compared in each world of the generated industrial-style logs: the same model with and without a part.

`--table=worlds --dataset=industrial --preset=NAME`: a table for each preset in which a further part pays. Its first row
is the model without the part. A part gets a row of its own here; the flags of the world go with it. In the two worlds
that tell objectives apart, those that read order are held against CRP, which does not.
"""

from __future__ import annotations

import dataclasses

from data_prep.industrial.generator_config import WORLDS as PRESETS
from data_prep.industrial.planted_bounds import UNCLICKED_ROWS
from experiments.tables.rows import TRIED_APART, Row, Table, trials_of

KEY = "worlds"  # of `--table`
_LCN = "lcn_200_50.cfg"


def _world(preset: str, title: str, flags: tuple[str, ...], first: Row, *rows: Row) -> Table:
    """The table of a preset; `flags` are of all of its rows, which are compared with the first unless they say so."""
    everyone = [first, *(dataclasses.replace(row, against=row.against or first.name) for row in rows)]
    return Table(f"world_{preset}", f"World `{preset}`: {title}",
                 tuple(dataclasses.replace(row, flags=(*flags, *row.flags)) for row in everyone), with_seeds=True,
                 tuning_seed=TRIED_APART)


def _joined(preset: str, title: str) -> Table:
    return _world(preset, title, (),
                  Row("CRP", _LCN, trials=trials_of("crp")),
                  Row("BERT4Rec", "lcn_bert4rec.cfg", trials=trials_of("bert4rec")),
                  Row("CL4SRec", "lcn_cl4srec.cfg", trials=trials_of("cl4srec")),
                  Row("LCN without an objective", "lcn_without_crp.cfg"))


# Preset -> its table.
WORLDS = {
    "scenarios": _world(
        "scenarios", "three scenarios with click laws of their own", (),
        Row("LCN, MLP", _LCN),
        Row("LCN, HAMUR", "lcn_hamur.cfg"),
        Row("LCN, HierRec", "lcn_hierrec.cfg")),
    "unclicked": _world(
        "unclicked", "what was shown and not clicked makes its topic less attractive for hours",
        (f"--prep.unclicked_length={UNCLICKED_ROWS}",),
        Row("LCN, DIN", _LCN),
        Row("LCN, TEM4CTR", "lcn_tem4ctr.cfg")),
    "cascade": _world(
        "cascade", "rare long stays after the click, by a law of their own (the first row does not learn clicks: its "
        "AUC and that of long_stay_joint say nothing)",
        (f"--industrial.long_stay_seconds={PRESETS['cascade'].stay_law.seconds}", "--train.monitor=long_stay_auc"),
        Row("LCN for long stays alone", _LCN, flags=("--model.head=conditional", "--conditional.weights=0.000001,1")),
        Row("LCN, a logit for each label", _LCN, flags=("--model.head=conditional",)),
        Row("LCN, shared bottom", "lcn_shared_bottom.cfg"),
        Row("LCN, MMoE", "lcn_mmoe.cfg"),
        Row("LCN, PLE", "lcn_ple.cfg"),
        Row("LCN, ESMM", "lcn_esmm.cfg"),
        Row("LCN, MESI", "lcn_mesi.cfg")),
    "feedbacks": _world(
        "feedbacks", "the rarer a feedback, the more it tells", (),
        Row("LCN", _LCN),
        Row("LCN, feedback not read", _LCN, flags=("--data.context_fields=watch,finished,time_gap",))),
    "texts": _world(
        "texts", "new and rare authors, whose texts tell topics", (),
        Row("LCN, an embedding for each author", _LCN),
        Row("LCN, authors by their texts", _LCN, flags=("--model.tables=author:pretrained",))),
    "stream": _world(
        "stream", "30 days of new authors and rooms, most of them seen rarely", ("--industrial.num_days=30",),
        Row("LCN, dense tables", _LCN),
        Row("LCN, rows for ids that are read often", "lcn_autoassign.cfg"),
        Row("LCN, rows chosen by an actor and a critic", "lcn_autoassign.cfg",
            flags=("--autoassign.policy=actor_critic",)),
        Row("LCN, 8-bit codes", "lcn_alpt.cfg")),
    "joined_by_user": _joined(
        "joined_by_user", "that a user does both is all that joins videos and rooms"),
    "joined_by_order": _joined(
        "joined_by_order", "only the step from one event to the next joins videos and rooms"),
}


def table_of(preset: str | None) -> Table:
    """The table of a preset.

    Raises:
      ValueError: a preset that is no world.
    """
    if preset not in WORLDS:
        raise ValueError(f"--table={KEY} needs a --preset that is a world, one of {', '.join(WORLDS)}, got "
                         f"{preset or 'none'}")
    return WORLDS[preset]
