"""Run by `test_strategy.py` in processes of their own: a few steps of models under a strategy, results into files."""

import dataclasses
import sys
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import lcn_tf  # noqa: F401  (chooses Keras 2)
from lcn_tf.data.pipeline import DataConfig, RecordFiles
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import component
from lcn_tf.training import StrategyConfig, TrainConfig, compile_model, create_strategy, predict
from lcn_tf.training.distributed_input import evaluation_batches, training_batches

BATCH_SIZE = 41  # not a multiple of any number of replicas
STEPS = 6
IMPRESSIONS = (STEPS - 1) * BATCH_SIZE + 1  # the last batch leaves all replicas but one without a row
REPLICAS = {"mirrored": 2, "multi_worker": 2}
SMALL = {
    ("long_term", "lap"): {"msa_top_k": 7, "fsa_top_k": 3, "attention_dim": 4},
    ("long_term", "dien"): {"top_k": 5, "hidden_units": (7,)},
    ("long_term", "sim"): {"top_k": 3, "attention_dim": 4, "aux_units": (7,)},
    ("objectives", "crp"): {"num_negatives": 64},
    ("towers", "cross"): {"units": (31, 7), "dropout": 0.2, "input_dropout": 0.3},  # microbatches refuse it
    ("towers", "hamur"): {"units": (13, 7), "rank": 3, "bottleneck": 2, "hyper_units": (11,)},
    ("towers", "hierrec"): {"field_dim": 6, "num_heads": 2, "hidden_dim": 7, "rank": 3, "units": (13, 7),
                            "dropout": 0.2},
}


class Case(NamedTuple):
    """A model and how it is trained; microbatches are those under `mirrored`, the norm is None for towers without."""

    long_term: str
    tower: str
    layout: str
    table_optimizer: str
    microbatches: int
    input_norm: str | None


CASES = (Case("lap", "cross", "grouped", "same", 1, "batch"), Case("dien", "hamur", "grouped", "same", 1, None),
         Case("mean_pool", "hierrec", "grouped", "same", 1, None),
         Case("sim", "mlp", "flat", "row_sparse_adam", 2, "none"))


def train(strategy: tf.distribute.Strategy, files: RecordFiles, case: Case, microbatches: int) -> dict[str, np.ndarray]:
    """Means of the losses, weights, the optimiser's slots (moments of the gradients) and logits of the test split."""
    data = DataConfig(layout=case.layout, short_length=3, lifelong_length=11, shuffle_buffer=50)
    model_config = ModelConfig(long_term=case.long_term, tower=case.tower)
    tower = ("towers", case.tower)
    norm = {"input_norm": case.input_norm} if case.input_norm else {}
    options = {**SMALL, tower: {**SMALL.get(tower, {}), **norm}}
    configs = {part: dataclasses.replace(component(*part).Config(), **options.get(part, {}))
               for part in model_config.parts}
    tf.keras.utils.set_random_seed(7)
    with strategy.scope():
        model = build_model(files.schema, data.lengths_of(files.schema), model_config, configs,
                            EmbeddingConfig(embedding_dim=4, l2=0.01))
        compile_model(model, TrainConfig(table_optimizer=case.table_optimizer, microbatches=microbatches,
                                         weight_decay=0.1, warmup_steps=2, decay="cosine"), STEPS)
    batches = training_batches(strategy, files, data, BATCH_SIZE, seed=(7, 1), skip=0)
    logs = model.fit(batches.dataset, steps_per_epoch=batches.steps, verbose=0).history
    values = {f"log_{name}": value[-1] for name, value in logs.items()}
    values.update({f"weight_{index}": weight.numpy() for index, weight in enumerate(model.trainable_weights)})
    slots = [slot for optimizer in getattr(model.optimizer, "optimizers", [model.optimizer])
             for slot in optimizer.variables()]
    values.update({f"slot_{index}": slot.numpy() for index, slot in enumerate(slots)})
    rows = predict(model, evaluation_batches(strategy, files, "test", data, BATCH_SIZE))
    return {**values, "logit": rows.logit, "target_length": rows.target_length, "source_length": rows.source_length}


def main(name: str, data_dir: str, output: str) -> None:
    """Saves `<output>-<model>.npz`: `mirrored` every model, `multi_worker` the last; `mirrored` one replica's too."""
    replicas = REPLICAS[name]
    strategy = create_strategy(StrategyConfig(name=name, logical_cpus=replicas if name == "mirrored" else 1))
    if strategy.num_replicas_in_sync != replicas:
        raise RuntimeError(f"{strategy.num_replicas_in_sync} replicas instead of {replicas}")
    files = RecordFiles.open(data_dir)
    if name == "multi_worker":
        np.savez(f"{output}-{CASES[-1].long_term}.npz", **train(strategy, files, CASES[-1], 1))
        return
    for case in CASES:
        np.savez(f"{output}-{case.long_term}.npz", **train(strategy, files, case, case.microbatches))
        np.savez(f"one-{case.long_term}.npz", **train(create_strategy(StrategyConfig()), files, case, 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
