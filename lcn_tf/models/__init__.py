"""The one click model, and the registry that finds its components by name."""

from lcn_tf.models.ctr_model import CTRModel
from lcn_tf.models.registry import ModelConfig, build_model, component, components
from lcn_tf.models.requests import example_batch

__all__ = ["CTRModel", "ModelConfig", "build_model", "component", "components", "example_batch"]
