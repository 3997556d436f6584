"""Random batches, layer weights as float64, and the comparison of gradients, for the tests of layers."""

import dataclasses

import numpy as np
import tensorflow as tf

from tests import references

TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}


@dataclasses.dataclass
class Batch:
    """Float32 candidate `[B, C, D]`, history `[B, L, D]`, context `[B, L, D_c]`; bool mask `[B, L]` or `[B, C, L]`."""

    candidate: np.ndarray
    history: np.ndarray
    context: np.ndarray
    mask: np.ndarray

    @property
    def events(self):
        return np.concatenate([self.history, self.context], axis=-1)

    @property
    def wide_mask(self):
        """The mask as `[B, C, L]`."""
        shape = (*self.candidate.shape[:2], self.history.shape[1])
        return np.broadcast_to(self.mask[:, None] if self.mask.ndim == 2 else self.mask, shape).copy()


def random_batch(seed, requests=2, candidates=3, length=7, width=5, context_width=2, per_candidate=False):
    """Standard normal embeddings under a random mask; among several requests the last one has no event."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    mask = rng.random((requests, candidates, length) if per_candidate else (requests, length)) < 0.7
    if requests > 1:
        mask[-1] = False
    return Batch(normal(requests, candidates, width), normal(requests, length, width),
                 normal(requests, length, context_width), mask)


def float64(variable):
    return np.asarray(variable.numpy(), np.float64)


def randomise(layer, seed):
    """Gives every weight a random value, biases and normalisations included."""
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(scale=0.5, size=variable.shape).astype(np.float32))


def attention_variables(layer):
    """Variables of an MSA or FSA layer under the names of `references`."""
    variables = {"query": layer.query.kernel, "key": layer.projections.key_kernel,
                 "value": layer.projections.value_kernel}
    if hasattr(layer, "ffn_hidden"):
        variables |= {"w1": layer.ffn_hidden.kernel, "b1": layer.ffn_hidden.bias,
                      "w2": layer.ffn_output.kernel, "b2": layer.ffn_output.bias}
    return variables


def attention_weights(layer):
    """Their values."""
    return {name: float64(variable) for name, variable in attention_variables(layer).items()}


def set_attention_weights(layer, weights):
    """Assigns some of them."""
    variables = attention_variables(layer)
    for name, value in weights.items():
        variables[name].assign(np.asarray(value, np.float32))


def as_tensor(variable):
    """Something `GradientTape.gradient` accepts: Keras 3 wraps the TensorFlow variable."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def weighted_sum(values):
    """A scalar that depends on every entry with another weight; numpy or TensorFlow."""
    factors = np.cos(np.arange(np.prod(values.shape), dtype=np.float64)).reshape(values.shape)
    if isinstance(values, np.ndarray):
        return float((values * factors).sum())
    return tf.reduce_sum(tf.cast(values, tf.float32) * factors.astype(np.float32))


def gradients(function, inputs):
    """Value of `function(*inputs)` and the gradients of its weighted sum; a missing gradient counts as zeros."""
    tensors = [tf.constant(value) for value in inputs]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
        scalar = weighted_sum(value)
    found = tape.gradient(scalar, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return value.numpy(), [tf.convert_to_tensor(gradient).numpy() for gradient in found]


def assert_matches_reference(function, reference, inputs, seed=0):
    """Compares values, and gradients along random directions, with a float64 oracle of the same inputs."""
    exact = [np.asarray(value, np.float64) for value in inputs]
    value, found = gradients(function, inputs)
    np.testing.assert_allclose(value, reference(*exact), rtol=1e-4, atol=1e-4)
    rng = np.random.default_rng(seed)
    for index, gradient in enumerate(found):  # one direction of one input at a time: an error is not averaged away
        direction = [np.zeros_like(point) for point in exact]
        direction[index] = rng.normal(size=exact[index].shape)
        expected = references.directional_derivative(lambda point: weighted_sum(reference(*point)), exact, direction)
        scale = np.abs(gradient * direction[index]).sum()
        np.testing.assert_allclose((gradient * direction[index]).sum(), expected, rtol=2e-4, atol=2e-4 * (1.0 + scale))


def assert_weight_gradients_match(variables, run, reference, seed=0):
    """Compares the gradients of named variables with those of `reference(weights by name)` along random directions."""
    with tf.GradientTape() as tape:
        scalar = weighted_sum(run())
    found = tape.gradient(scalar, {name: as_tensor(variable) for name, variable in variables.items()})
    weights = {name: float64(variable) for name, variable in variables.items()}
    rng = np.random.default_rng(seed)
    for name, gradient in found.items():
        direction = rng.normal(size=weights[name].shape)
        expected = references.directional_derivative(
            lambda point, name=name: weighted_sum(reference({**weights, name: point[0]})), [weights[name]], [direction])
        scale = np.abs(gradient.numpy() * direction).sum()
        np.testing.assert_allclose((gradient.numpy() * direction).sum(), expected, rtol=2e-4, atol=2e-4 * (1.0 + scale),
                                   err_msg=name)
