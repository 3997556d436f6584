"""Finished runs as the tables read them, with numbers of the test's own."""

import numpy as np

from experiments.settings import Configuration
from experiments.tables import resamples
from experiments.tables.plan import Planned


def configuration(cfg, version=1):
    return Configuration({"core": 1, "long_term/lap": version}, {"model.of": cfg})


def planned(row, fingerprint="data", version=1):
    return Planned(row, (f"--flagfile={row.cfg}",), configuration(row.cfg, version), fingerprint)


def finished(cfg, seed, auc, *, fingerprint="data", version=1, consistency=None, tensorflow="2.21.0"):
    """A run of a row without flags."""
    model = {"auc": auc, "gauc": auc - 0.1, "logloss": 0.3, "impressions": 1234.0, "click_rate": 0.1}
    part = {"auc": auc, "gauc": None, "impressions": 617.0, "users": 20.0, "click_rate": 0.1}
    slices = {name: [{"slice": "0", **part}, {"slice": "1-9", **part}] for name in ("target_length", "source_length")}
    return {"configuration": configuration(cfg, version).id, "data_fingerprint": fingerprint, "seed": seed,
            "row": [cfg], "commit": "0123456789abcdef-dirty", "versions": {"tensorflow": tensorflow}, "hardware": {},
            "parameters": 4321, "best_epoch": 1, "epochs": 1, "training_seconds": 90.0,
            "metrics": {"validation": {"model": model, "base rate": {"logloss": 0.4}},
                        "test": {"model": model, "base rate": {"logloss": 0.4}, "item popularity": {"auc": 0.55},
                                 "oracle": {"auc": 0.8}}},
            "slices": {"test": slices}, "consistency": consistency and {"test": consistency},
            "history": [{"epoch": 1, "validation_consistency": consistency and consistency["value"]}]}


def add(store, cfg, seed, auc, *, version=1, codes=None, **options):
    """Puts such a run into a store; its resamples are its AUC and, as GAUC, 0.1 less, each with a shared deviation."""
    shared = np.linspace(-0.01, 0.01, 4)
    codes = resamples.pack([auc + shared, auc - 0.1 + shared]) if codes is None else codes
    store.add(finished(cfg, seed, auc, version=version, **options), codes, configuration(cfg, version))
