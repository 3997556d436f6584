"""Run by `test_strategy.py` in a process of its own: a few steps with some number of replicas, results into a file."""

import dataclasses
import sys

import numpy as np
import tensorflow as tf

import lcn_tf  # noqa: F401  (chooses Keras 2)
from lcn_tf.data.pipeline import DataConfig, RecordFiles
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import component
from lcn_tf.training import StrategyConfig, TrainConfig, compile_model, create_strategy, predict
from lcn_tf.training.distributed_input import evaluation_batches, training_batches

STEPS = 5
BATCH_SIZE = 41  # not a multiple of any number of replicas


def main(data_dir: str, layout: str, table_optimizer: str, name: str, replicas: int, microbatches: int,
         output: str) -> None:
    """Trains under the strategy of a name and saves losses, weights and test logits as `.npz`."""
    strategy = create_strategy(StrategyConfig(name=name, logical_cpus=replicas if name == "mirrored" else 1))
    if strategy.num_replicas_in_sync != replicas:
        raise RuntimeError(f"{strategy.num_replicas_in_sync} replicas instead of {replicas}")
    files = RecordFiles.open(data_dir)
    data = DataConfig(layout=layout, short_length=3, lifelong_length=11, shuffle_buffer=50)
    lap = dataclasses.replace(component("long_term", "lap").Config(), msa_top_k=7, fsa_top_k=3, attention_dim=4)
    crp = dataclasses.replace(component("objectives", "crp").Config(), num_negatives=64)
    tf.keras.utils.set_random_seed(7)
    with strategy.scope():
        model = build_model(files.schema, data.lengths, ModelConfig(),
                            {("long_term", "lap"): lap, ("objectives", "crp"): crp}, EmbeddingConfig(embedding_dim=4))
        compile_model(model, TrainConfig(table_optimizer=table_optimizer, microbatches=microbatches))
    batches = training_batches(strategy, files, data, BATCH_SIZE, seed=(7, 1), skip=0)
    logs = model.fit(batches.dataset, steps_per_epoch=STEPS, verbose=0).history
    values = {f"log_{name}": value[-1] for name, value in logs.items()}
    values.update({f"weight_{index}": weight.numpy() for index, weight in enumerate(model.trainable_weights)})
    rows = predict(model, evaluation_batches(strategy, files, "test", data, BATCH_SIZE))
    values.update(logit=rows.logit, target_length=rows.target_length, source_length=rows.source_length)
    np.savez(output, **values)


if __name__ == "__main__":
    main(*sys.argv[1:5], int(sys.argv[5]), int(sys.argv[6]), sys.argv[7])
