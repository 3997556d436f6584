"""The one click model, and the registry that finds its components by name."""

from lcn_tf.models.ctr_model import CTRModel
from lcn_tf.models.registry import ModelConfig, build_model, component, components
from lcn_tf.models.requests import example_batch
from lcn_tf.models.task_balance import BalanceConfig

__all__ = ["BalanceConfig", "CTRModel", "ModelConfig", "build_model", "component", "components", "example_batch"]
