"""What a trained number depends on: the versions of the parts that computed it.

Every part's module has a `VERSION`. It goes up when a change alters what the part computes with the same settings, and
with it a golden trajectory; moving, renaming or speeding up code leaves it alone. Finished runs count while the
versions of their parts are those of the code.
"""

from __future__ import annotations

from lcn_tf.models.registry import ModelConfig, component

CORE_VERSION = 1  # of what all models share: input pipeline, look-up, training step, optimisers, metrics


def part_versions(model: ModelConfig) -> dict[str, int]:
    """"<kind>/<name>" -> version of every part of a model, "core" among them."""
    return {"core": CORE_VERSION, **{f"{kind}/{name}": component(kind, name).VERSION for kind, name in model.parts}}
