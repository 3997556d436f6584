"""Strategies, the training loop over `fit`, checkpoints and the files a run leaves behind."""

from lcn_tf.training.consistency import RetrievalConsistency, measure_split
from lcn_tf.training.distributed_input import evaluation_batches
from lcn_tf.training.evaluation import EvalConfig, Predictions, predict
from lcn_tf.training.strategy import StrategyConfig, create_strategy, task_of, wait_for_all
from lcn_tf.training.trainer import TrainConfig, TrainingResult, compile_model, planned_steps, train, train_further

__all__ = ["EvalConfig", "Predictions", "RetrievalConsistency", "StrategyConfig", "TrainConfig", "TrainingResult",
           "compile_model", "create_strategy", "evaluation_batches", "measure_split", "planned_steps", "predict",
           "task_of", "train", "train_further", "wait_for_all"]
