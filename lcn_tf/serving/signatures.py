"""The three functions of an exported model.

| signature          | inputs                                            | outputs, `[B, C]` or `[G, C]`               |
|--------------------|---------------------------------------------------|---------------------------------------------|
| `serving_default`  | int64 by name: users `[B]`, candidates `[B, C]`,  | `probability`; warnings `[B]`               |
|                    | histories `[B, L]`                                |                                             |
| `serving_examples` | `examples` `[G]`: groups as `tf.train.Example`    | `probability`, `candidate_mask`; warnings   |
| `explain`          | as `serving_default`                              | `probability`; warnings; events attended    |
|                    |                                                   | to, by level                                |

With several labels, `probability` is of the first and `<label>_probability` of each other one; of a label that is given
another it is the probability given that one.

Every size is free. The names are `lcn_tf.models.requests.request_names`: the features of the schema and `timestamp`, no
label, no user key, no offset, no mask. Id 0 is padding: a candidate whose first item feature is 0 gets probability 0,
below every real candidate, and `candidate_mask` is False there. Any other id outside its table is read as out of
vocabulary. Histories are most recent first, padded at the end; events beyond the model's lengths are ignored and
shorter or empty histories are fine; padding in front of an event is skipped. Timestamps are seconds UTC. What a client
got wrong is counted per request in the outputs of `lcn_tf.serving.admission.WARNINGS`, and the request is answered.
`explain` returns whatever the long-term model's `explain` does (LAP: `msa_indices`, `msa_scores`, `fsa_indices`,
`fsa_scores`, each `[B, C, K]`; a model that searches once: `esu_indices`, `esu_scores`): an index counts the events of
the history without padding, -1 in empty slots. A long-term model without that method has no such signature.

Shape letters: B, G requests, C candidates, L events, K kept events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from lcn_tf.contracts import Explains
from lcn_tf.models import CTRModel
from lcn_tf.models.requests import request_names
from lcn_tf.schema import FeatureSchema
from lcn_tf.serving.admission import Request, admit

SERVING_DEFAULT = "serving_default"
SERVING_EXAMPLES = "serving_examples"
EXPLAIN = "explain"
PROBABILITY = "probability"
EXAMPLES_INPUT = "examples"


def build_signatures(model: CTRModel) -> dict[str, Any]:
    """Traces a model's signatures.

    Args:
      model: with its weights built.

    Returns:
      Signature name -> concrete function with named inputs.
    """
    schema, lengths, long_term = model.embedder.schema, model.embedder.lengths, model.long_term

    def serving_default(**request: tf.Tensor) -> dict[str, tf.Tensor]:
        batch, warnings = admit(schema, lengths, request)
        return {**probabilities(model, batch), **warnings}

    def serving_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        batch, warnings = admit(schema, lengths, parse_requests(schema, examples))
        return {**probabilities(model, batch), "candidate_mask": batch["candidate_mask"], **warnings}

    named = request_specs(schema)
    signatures = {
        SERVING_DEFAULT: tf.function(serving_default, autograph=False).get_concrete_function(**named),
        SERVING_EXAMPLES: tf.function(serving_examples, autograph=False).get_concrete_function(
            examples=tf.TensorSpec([None], tf.string, name=EXAMPLES_INPUT)),
    }
    if isinstance(long_term, Explains):
        def explain(**request: tf.Tensor) -> dict[str, tf.Tensor]:
            batch, warnings = admit(schema, lengths, request)
            read = model.embedder.read(batch, common_views=True)
            return {**probabilities(model, batch), **warnings, **long_term.explain(read.candidate, read.lifelong)}

        signatures[EXPLAIN] = tf.function(explain, autograph=False).get_concrete_function(**named)
    return signatures


def request_specs(schema: FeatureSchema) -> dict[str, tf.TensorSpec]:
    """Inputs of `serving_default` and `explain`."""
    users, impressions, histories = request_names(schema)
    specs = {name: tf.TensorSpec([None], tf.int64, name=name) for name in users}
    specs.update({name: tf.TensorSpec([None, None], tf.int64, name=name) for name in (*impressions, *histories)})
    return specs


def parse_requests(schema: FeatureSchema, examples: tf.Tensor) -> dict[str, tf.Tensor]:
    """Serialized request groups `[G]` -> a request of `request_names`, padded to the largest C and L.

    Features that only training needs may be absent. Where a feature of a record has not as many values as it should,
    `tf.errors.InvalidArgumentError` names it.
    """
    users, impressions, histories = request_names(schema)
    spec: dict[str, Any] = {name: tf.io.FixedLenFeature([], tf.int64) for name in users}
    spec.update({name: tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64) for name in (*impressions, *histories)})
    parsed = tf.io.parse_example(examples, spec)
    checks = []
    for names in (impressions, *(schema.history_names(history) for history in schema.histories)):
        expected = parsed[names[0]].row_lengths()
        checks += [tf.debugging.assert_equal(parsed[name].row_lengths(), expected, message=(
            f"{name} must have as many values as {names[0]} in every request")) for name in names[1:]]
    with tf.control_dependencies(checks):
        request = {name: tf.identity(parsed[name]) for name in users}
        request.update({name: parsed[name].to_tensor() for name in (*impressions, *histories)})
    return request


def probabilities(model: CTRModel, batch: Request, logits: Mapping[str, tf.Tensor] | None = None
                  ) -> dict[str, tf.Tensor]:
    """Probabilities `[B, C]` float32 of every label, 0 for padded candidates.

    Args:
      model: that scores the batch.
      batch: as `admit` makes it.
      logits: label -> logit `[B, C]`; None for what the model says.
    """
    found = {}
    if logits is None:
        logits = model(model.embedder.read(batch, common_views=True), training=False, returns="logits")
    for label, logit in logits.items():
        probability = tf.sigmoid(tf.cast(logit, tf.float32))
        probability = tf.where(batch["candidate_mask"], probability, tf.zeros_like(probability))
        found[probability_name(model, label)] = probability
    return found


def probability_name(model: CTRModel, label: str) -> str:
    """What signatures call the probability of a label."""
    return PROBABILITY if label == model.head.labels[0] else f"{label}_{PROBABILITY}"
