"""LCN-200-50 with each further system, on the same generated logs: `--table=systems`, and with graph vectors.

Every row of `systems` reads the same records: with a second label, and with what was shown and not clicked. Graph
vectors are written into a prepared folder beforehand, and `--table=graph` is of that folder (`-- --data_dir=DATA`).
"""

from __future__ import annotations

import dataclasses

from experiments.tables.rows import Row, Table

_DATA = ("--prep.unclicked_length=24", "--industrial.long_stay_seconds=60", "--data.scenario=page")
_FIRST = Row("LCN-200-50", "lcn_200_50.cfg")
_TWO_LABELS = "LCN-200-50, a logit for each label"


def _rows() -> tuple[Row, ...]:
    towers = [Row("HAMUR", "lcn_hamur.cfg"), Row("HierRec", "lcn_hierrec.cfg")]
    tables = [Row("ALPT, 8 bits", "lcn_alpt.cfg"), Row("ALPT, 16 bits", "lcn_alpt.cfg", flags=("--alpt.bits=16",)),
              Row("rows for ids that are read often (inspired by AutoAssign+)", "lcn_autoassign.cfg")]
    histories = [Row("TEM4CTR", "lcn_tem4ctr.cfg"),
                 Row("TEM4CTR, events in place of exposures", "lcn_tem4ctr.cfg", flags=("--tem4ctr.exposures=source",))]
    labels = [Row(_TWO_LABELS, _FIRST.cfg, flags=("--model.head=conditional",))]
    labels += [Row(name, f"lcn_{name.lower().replace(' ', '_')}.cfg", _TWO_LABELS)
               for name in ("Shared bottom", "MMoE", "PLE", "ESMM", "MESI")]
    labels += [Row(f"{_TWO_LABELS}, {method}", _FIRST.cfg, _TWO_LABELS,
                   flags=("--model.head=conditional", f"--balance.method={method}"))
               for method in ("uncertainty", "gradnorm", "pcgrad")]
    others = (dataclasses.replace(row, against=row.against or _FIRST.name)
              for row in (*towers, *histories, *tables, *labels))
    return tuple(dataclasses.replace(row, flags=(*_DATA, *row.flags)) for row in (_FIRST, *others))


SYSTEMS = Table("systems", "Further systems beside LCN-200-50", _rows(), with_seeds=True)
GRAPH = Table("graph", "LCN-200-50 with vectors of authors from the graph of who did what with whom", (
    _FIRST,
    Row("frozen graph vectors beside trained ones", "lcn_graph.cfg", _FIRST.name),
    Row("frozen graph vectors alone", "lcn_graph.cfg", _FIRST.name, flags=("--pretrained.beside=false",))),
    with_seeds=True)
FURTHER = {table.key: table for table in (SYSTEMS, GRAPH)}
