"""TensorFlow's distribution strategies by name."""

from __future__ import annotations

import dataclasses
from typing import Literal

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class StrategyConfig:
    """Where a model's replicas run."""

    name: Literal["default", "mirrored"] = dataclasses.field(
        default="default", metadata={"help": "default: one device; mirrored: one replica per GPU, or per logical CPU"})
    logical_cpus: int = dataclasses.field(
        default=1, metadata={"help": "logical devices the CPU is split into, for trying out several replicas"})

    def __post_init__(self):
        if self.name not in ("default", "mirrored"):
            raise ValueError(f"strategy.name must be default or mirrored, got {self.name!r}")
        if self.logical_cpus < 1:
            raise ValueError(f"strategy.logical_cpus must be at least 1, got {self.logical_cpus}")
        if self.logical_cpus > 1 and self.name != "mirrored":
            raise ValueError(f"strategy.logical_cpus={self.logical_cpus} needs strategy.name=mirrored, "
                             f"got {self.name!r}")


def create_strategy(config: StrategyConfig) -> tf.distribute.Strategy:
    """The strategy of a configuration; several logical CPUs must be asked for before TensorFlow is first used.

    Raises:
      RuntimeError: TensorFlow has already been initialised with another number of logical CPUs.
    """
    if config.logical_cpus > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        devices = [tf.config.LogicalDeviceConfiguration() for _ in range(config.logical_cpus)]
        tf.config.set_logical_device_configuration(cpu, devices)
    if config.name == "default":
        return tf.distribute.get_strategy()
    if tf.config.list_physical_devices("GPU"):
        return tf.distribute.MirroredStrategy()
    return tf.distribute.MirroredStrategy([device.name for device in tf.config.list_logical_devices("CPU")])
