"""Compositions of parts that were not made for each other: run by `test_compositions.py` in processes of their own.

Every tower, head and kind of table, two lifelong models, both layouts, one and two replicas. Two values of different
factors meet in at least one composition. Each trains two steps, is exported and read again. All combinations:

    python -m tests.models.compositions 1 DATA_DIR --all     # then with 2; 1.5 hours each
"""

import dataclasses
import itertools
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

import lcn_tf  # noqa: F401  (chooses Keras 2)
from lcn_tf.data import pipeline
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model, registry
from lcn_tf.serving import export_model
from lcn_tf.training import StrategyConfig, TrainConfig, compile_model, create_strategy
from lcn_tf.training.distributed_input import training_batches

DATA = pipeline.DataConfig(short_length=3, lifelong_length=11, shuffle_buffer=50)
BATCH_SIZE, STEPS, REQUESTS = 23, 2, 9
FACTORS = {
    "tower": registry.components("towers"), "head": registry.components("heads"),
    "table": registry.components("tables"), "long_term": ("lap", "sim"), "layout": ("grouped", "flat"),
    "replicas": (1, 2),
}
SMALL = {
    ("long_term", "lap"): {"msa_top_k": 7, "fsa_top_k": 3, "attention_dim": 4},
    ("long_term", "sim"): {"top_k": 3, "attention_dim": 4, "aux_units": (7,)},
    ("towers", "mlp"): {"units": (7, 5)},
    ("towers", "cross"): {"units": (7, 5)},
    ("towers", "hamur"): {"units": (7, 5), "rank": 3, "bottleneck": 4, "hyper_units": (5,)},
    ("towers", "shared_bottom"): {"units": (7,), "label_units": (5,)},
    ("towers", "mmoe"): {"units": (7,), "label_units": (5,), "num_experts": 3},
    ("towers", "ple"): {"units": (7,), "label_units": (5,)},
    ("heads", "mesi"): {"width": 3},
}

Composition = dict[str, object]


def pairwise(factors: Mapping[str, Sequence[object]]) -> list[Composition]:
    """Few combinations of which at least one has each pair of values of two factors; the same each time."""
    def pairs(combination):
        return set(itertools.combinations(enumerate(combination), 2))

    waiting = {combination: pairs(combination) for combination in itertools.product(*factors.values())}
    uncovered, chosen = set().union(*waiting.values()), []
    while uncovered:
        best = max(waiting, key=lambda combination: len(waiting[combination] & uncovered))
        uncovered -= waiting.pop(best)
        chosen.append(dict(zip(factors, best, strict=True)))
    return chosen


def everything(factors: Mapping[str, Sequence[object]]) -> list[Composition]:
    """All combinations."""
    return [dict(zip(factors, combination, strict=True)) for combination in itertools.product(*factors.values())]


def check(composition: Composition, strategy: tf.distribute.Strategy, files: RecordFiles) -> None:
    """Trains, exports and reads again.

    Raises:
      AssertionError: a loss that is not finite, weights that stay as they were, or an export that scores otherwise.
    """
    data = dataclasses.replace(DATA, layout=composition["layout"])
    chosen = ModelConfig(composition["long_term"], "mean", ("crp",), composition["tower"], composition["head"],
                         (f"item:{composition['table']}",))
    configs = {part: dataclasses.replace(registry.component(*part).Config(), **SMALL.get(part, {}))
               for part in chosen.parts}
    tf.keras.utils.set_random_seed(3)
    with strategy.scope():
        model = build_model(files.schema, data.lengths_of(files.schema), chosen, configs,
                            EmbeddingConfig(embedding_dim=4), 1, files.vectors())
        compile_model(model, TrainConfig(learning_rate=0.01), STEPS)
        model.build_weights()
    before = model.get_weights()
    batches = training_batches(strategy, files, data, BATCH_SIZE, seed=(7, 1), skip=0)
    history = model.fit(batches.dataset, steps_per_epoch=STEPS, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values()), history
    assert not all(map(np.array_equal, model.get_weights(), before))

    path = files.paths_of("test")[0]
    examples = tf.stack(list(tf.data.TFRecordDataset(path).take(REQUESTS)))
    batch = pipeline.grouped_rows(files.schema, examples, model.embedder.lengths)
    expected = tf.boolean_mask(tf.sigmoid(model(batch)), batch["candidate_mask"])
    with tempfile.TemporaryDirectory() as folder:
        loaded = tf.saved_model.load(export_model(model, folder, files, data))
        found = loaded.signatures["serving_examples"](examples=examples)["probability"]
    np.testing.assert_allclose(tf.boolean_mask(found, batch["candidate_mask"]), expected, rtol=1e-5, atol=1e-6)


def main(replicas: str, data_dir: str, *words: str) -> None:
    """Checks the compositions with so many replicas; prints a line for each, and ends with 1 if one failed."""
    strategy = create_strategy(StrategyConfig(name="mirrored", logical_cpus=int(replicas)) if replicas != "1" else
                               StrategyConfig())
    chosen = everything(FACTORS) if "--all" in words else pairwise(FACTORS)
    files, failed = RecordFiles.open(data_dir), 0
    for composition in chosen:
        if composition["replicas"] != int(replicas):
            continue
        name = " ".join(map(str, composition.values()))
        try:
            check(composition, strategy, files)
            print(f"{name}: the same", flush=True)
        except Exception as error:
            failed += 1
            print(f"{name}: FAILED, {type(error).__name__}: {error}", flush=True)
        tf.keras.backend.clear_session()
    sys.exit(min(failed, 1))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main(*sys.argv[1:])
