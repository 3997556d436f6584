"""Signatures that rank from what was computed of a user's lifelong history before the request.

| signature         | inputs                                                | outputs                                |
|-------------------|-------------------------------------------------------|----------------------------------------|
| `user_state`      | the lifelong history `[B, L]`                         | the state, `state_<name>` `[B, ...]`   |
| `update_state`    | a state, new events, and as `gone_<name>` the oldest  | the state of the history after that    |
|                   | ones, which a model of limited length reads no longer |                                        |
| `rank_from_state` | a state, and the inputs of `serving_default` but for  | as `serving_default`, and              |
|                   | the lifelong history                                  | `warning_state_of_another_model`       |

An export has them where its long-term model keeps a state (`lcn_tf.contracts.KeepsState`); `update_state` where a state
follows from the one before (`UpdatesState`). Ranking from a state equals ranking from the history. No state depends on
a moment: time gaps are those of each candidate's timestamp when it is ranked.

A state holds the fingerprint of the weights it was made with and of the schema and lengths. A state with another one is
refused: every candidate of that request gets probability 0, as padding does, and the warning is 1. It is no error, for
a server merges requests of several clients, and one stale state must not fail the others.

Shape letters: B requests, C candidates, L events.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from lcn_tf.contracts import KeepsState, UpdatesState
from lcn_tf.models import CTRModel
from lcn_tf.models.requests import request_names
from lcn_tf.schema import FeatureSchema
from lcn_tf.serving.admission import Counts, Request, admit
from lcn_tf.serving.signatures import probabilities, request_specs
from lcn_tf.serving.warmup import prediction_log

USER_STATE = "user_state"
UPDATE_STATE = "update_state"
RANK_FROM_STATE = "rank_from_state"
STATE_SIGNATURES = (USER_STATE, UPDATE_STATE, RANK_FROM_STATE)

PREFIX = "state_"
GONE = "gone_"
FINGERPRINT = f"{PREFIX}fingerprint"
ANOTHER_MODEL = "warning_state_of_another_model"
TOO_MANY_EVENTS = "warning_state_of_too_many_events"


def build_state_signatures(model: CTRModel) -> dict[str, Any]:
    """Traces the signatures that a model offers.

    Args:
      model: with its weights built, those that will be exported.

    Returns:
      Signature name -> concrete function with named inputs; {} where the long-term model keeps no state.

    Raises:
      ValueError: a part of the state has the name of a feature of requests.
    """
    long_term, schema, lengths = model.long_term, model.embedder.schema, model.embedder.lengths
    if not isinstance(long_term, KeepsState) or not long_term.keeps_state:
        return {}
    own = tf.constant(fingerprint(model), tf.int64)
    specs = request_specs(schema)
    of_lifelong = {name: specs[name] for name in schema.history_names(schema.lifelong)}
    others = {name: spec for name, spec in specs.items() if name not in of_lifelong}

    def user_state(**request: tf.Tensor) -> dict[str, tf.Tensor]:
        read, warnings = _events(model, request)
        return {**_named(long_term.state_of(read), own), **warnings}

    made = tf.function(user_state, autograph=False).get_concrete_function(**of_lifelong)
    states = {name: tf.TensorSpec([None, *values.shape[1:]], values.dtype, name=name)
              for name, values in made.structured_outputs.items() if name.startswith(PREFIX)}
    if repeated := sorted(set(states) & set(others)):
        raise ValueError(f"{type(long_term).__name__} keeps {repeated[0]!r}, a feature of {schema.name!r}, too")

    def state_among(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {name.removeprefix(PREFIX): inputs[name] for name in states if name != FINGERPRINT}

    def rank_from_state(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = _of_as_many_users(inputs, list(states), "timestamp")
        batch, warnings = admit(schema, lengths, _completed(schema, {name: inputs[name] for name in others}))
        logits = model.logits_from_state(model.embedder.read(batch, common_views=True), state_among(inputs))
        refused = tf.not_equal(inputs[FINGERPRINT], own)  # [B]
        found = {name: tf.where(refused[:, tf.newaxis], tf.zeros_like(values), values)
                 for name, values in probabilities(model, batch, logits).items()}
        return {**found, **warnings, ANOTHER_MODEL: tf.cast(refused, tf.int32)}

    signatures = {USER_STATE: made, RANK_FROM_STATE: tf.function(rank_from_state, autograph=False)
                  .get_concrete_function(**others, **states)}
    if isinstance(long_term, UpdatesState):
        updates: UpdatesState = long_term

        def update_state(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            inputs = _of_as_many_users(inputs, list(inputs), FINGERPRINT)
            new, warnings = _events(model, {name: inputs[name] for name in of_lifelong})
            gone, of_gone = _events(model, {name: inputs[f"{GONE}{name}"] for name in of_lifelong})
            state = updates.updated(state_among(inputs), new, gone)
            warnings = {name: count + of_gone[name] for name, count in warnings.items()}
            beyond = tf.maximum(state["events"] - lengths[schema.lifelong], 0)
            refused = tf.cast(tf.not_equal(inputs[FINGERPRINT], own), tf.int32)
            return {**_named(state, inputs[FINGERPRINT]), **warnings, TOO_MANY_EVENTS: beyond, ANOTHER_MODEL: refused}

        gone = {f"{GONE}{name}": tf.TensorSpec(spec.shape, spec.dtype, name=f"{GONE}{name}")
                for name, spec in of_lifelong.items()}
        signatures[UPDATE_STATE] = tf.function(update_state, autograph=False).get_concrete_function(
            **states, **of_lifelong, **gone)
    return signatures


def fingerprint(model: CTRModel) -> int:
    """Of what a state depends on: the values of the tables and of the long-term model, the schema and the lengths."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(json.dumps([model.embedder.schema.fingerprint, sorted(model.embedder.lengths.items())]).encode())
    long_term = model.long_term
    for weight in (*model.embedder.variables, *(long_term.variables if isinstance(long_term, tf.Module) else ())):
        values = np.ascontiguousarray(tf.convert_to_tensor(weight).numpy())
        digest.update(f"{values.dtype} {values.shape}".encode())
        digest.update(values.view(np.uint8).data)
    return int.from_bytes(digest.digest(), "big", signed=True)


def state_warmup_logs(model_name: str, signatures: Mapping[str, Any], recorded: Mapping[str, np.ndarray]) -> list[Any]:
    """Warm-up requests of these signatures: recorded requests alone and all together, and their states.

    Args:
      model_name: see `warmup.prediction_log`.
      signatures: of `build_state_signatures`.
      recorded: inputs of `serving_default`.
    """
    logs = []
    for row in ((slice(0, 1), slice(None)) if signatures else ()):
        known = {name: values[row] for name, values in recorded.items()}
        state = signatures[USER_STATE](**{name: tf.constant(known[name]) for name in _inputs(signatures[USER_STATE])})
        known.update({name: values.numpy() for name, values in state.items()})
        known.update({f"{GONE}{name}": values[:, :0] for name, values in known.items() if values.ndim == 2})
        logs += [prediction_log(model_name, name, {key: known[key] for key in _inputs(signature)})
                 for name, signature in signatures.items()]
    return logs


def _inputs(signature: Any) -> list[str]:
    return list(signature.structured_input_signature[1])


def _events(model: CTRModel, request: Request) -> tuple[Any, Counts]:
    """A lifelong history that was sent alone, and what is odd about it."""
    batch, warnings = admit(model.embedder.schema, model.embedder.lengths,
                            _completed(model.embedder.schema, request))
    return model.embedder.read(batch, common_views=True).lifelong, warnings


def _completed(schema: FeatureSchema, request: Request) -> Request:
    """With one padded candidate, an unknown user and empty histories where they are not part of the request."""
    users, impressions, histories = request_names(schema)
    requests = tf.shape(next(iter(request.values())))[0]
    absent = {**dict.fromkeys(users, tf.ones([requests], tf.int64)),
              **dict.fromkeys((*impressions, *histories), tf.zeros([requests, 1], tf.int64))}
    return {**absent, **request}


def _of_as_many_users(inputs: Request, names: Sequence[str], like: str) -> dict[str, tf.Tensor]:
    """The inputs, those of the names checked to be of as many users as another one: one state would rank them all."""
    users = tf.stack([tf.shape(inputs[name])[0] for name in names])
    wrong = tf.not_equal(users, tf.shape(inputs[like])[0])
    message = tf.strings.reduce_join(tf.boolean_mask(tf.constant(names), wrong), separator=", ")
    message += f" must have {like}'s number of requests"
    with tf.control_dependencies([tf.debugging.Assert(~tf.reduce_any(wrong), [message])]):
        return {name: tf.identity(values) for name, values in inputs.items()}


def _named(state: Mapping[str, tf.Tensor], own: tf.Tensor) -> dict[str, tf.Tensor]:
    """A state as outputs."""
    return {**{f"{PREFIX}{name}": values for name, values in state.items()},
            FINGERPRINT: tf.broadcast_to(own, tf.shape(state["events"]))}
