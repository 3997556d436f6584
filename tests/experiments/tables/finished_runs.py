"""Lines of `results.jsonl` as the tables read them, with numbers of the test's own."""

import numpy as np

from experiments.tables.plan import Planned
from experiments.tables.replicates import pack
from experiments.tables.store import Key


def key(cfg, fingerprint="data", code="code"):
    return Key(f"hash of {cfg}", fingerprint, code)


def planned(row, fingerprint="data"):
    return Planned(row, (f"--flagfile={row.cfg}",), key(row.cfg, fingerprint))


def finished(cfg, seed, auc, *, fingerprint="data", code="code", consistency=None, replicates=4):
    """A run whose replicates are its AUC and, as GAUC, 0.1 less, each with a deviation that all runs share."""
    shared = np.linspace(-0.01, 0.01, replicates)
    model = {"auc": auc, "gauc": auc - 0.1, "logloss": 0.3, "impressions": 1234.0, "click_rate": 0.1}
    part = {"auc": auc, "gauc": None, "impressions": 617.0, "users": 20.0, "click_rate": 0.1}
    slices = {name: [{"slice": "0", **part}, {"slice": "1-9", **part}] for name in ("target_length", "source_length")}
    return {"config_hash": f"hash of {cfg}", "data_fingerprint": fingerprint, "code": code, "seed": seed,
            "commit": "0123456789abcdef-dirty", "parameters": 4321, "training_seconds": 90.0,
            "metrics": {"validation": {"model": model, "base rate": {"logloss": 0.4}},
                        "test": {"model": model, "base rate": {"logloss": 0.4}, "item popularity": {"auc": 0.55},
                                 "oracle": {"auc": 0.8}}},
            "slices": {"test": slices}, "consistency": consistency and {"test": consistency},
            "history": [{"epoch": 1, "validation_consistency": consistency and consistency["value"]}],
            "bootstrap": {"auc": pack(auc + shared), "gauc": pack(auc - 0.1 + shared)}}
