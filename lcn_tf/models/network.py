"""The forward pass: looked-up batch -> short-term and lifelong interests -> tower -> logits.

Shape letters: B requests, C candidates, N candidate rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import tensorflow as tf
import tensorflow_recommenders as tfrs

from lcn_tf.contracts import (
    Head,
    KeepsState,
    LongTerm,
    Objective,
    OwnLoss,
    ReadsFields,
    ReadsOthers,
    ShortTerm,
    Tower,
    TowerInputs,
    TrainingInputs,
)
from lcn_tf.embeddings import FeatureEmbedder, LookedUp
from lcn_tf.embeddings.row_reader import NEGATIVE
from lcn_tf.models.requests import example_batch
from lcn_tf.ops.label_terms import joint_logits
from lcn_tf.schema import TARGET

Batch = Mapping[str, tf.Tensor]
Returns = Literal["logit", "logits", "losses"]


class Network(tfrs.Model):
    """An embedder, encoders, a tower and a head, composed; `CTRModel` trains it.

    Args:
      embedder: owns the tables and the schema.
      short_term: name of each short history -> its encoder.
      long_term: model of the lifelong history.
      tower: network over the features and interests.
      head: hidden vectors -> logits.
      objectives: name -> auxiliary loss with a `weight`; absent from `call`.

    Call arguments:
      batch: tensors as in the table of `lcn_tf.schema` (labels, impression_id and user_key are not needed), or what
        `embedder.look_up` made of them.

    Returns:
      logit of the first label `[B, C]` float32; the click probability is its sigmoid.
    """

    def __init__(self, embedder: FeatureEmbedder, short_term: Mapping[str, ShortTerm | ReadsOthers],
                 long_term: LongTerm, tower: Tower, head: Head, objectives: Mapping[str, Objective], **kwargs):
        super().__init__(**kwargs)
        self.embedder = embedder
        self.short_term = dict(short_term)
        self.long_term = long_term
        self.tower = tower
        self.head = head
        self.objectives = dict(objectives)

    @property
    def own_loss(self) -> OwnLoss | None:
        """The long-term model where it learns from a loss of its own."""
        model = self.long_term
        return model if isinstance(model, OwnLoss) and model.own_terms else None

    def build_weights(self) -> None:
        """Creates every weight, training-only ones included."""
        schema, lengths = self.embedder.schema, self.embedder.lengths
        batch = example_batch(schema, lengths)
        self(batch)
        if self.own_loss:
            drawn = {f"{NEGATIVE}{field.name}": tf.zeros([1, lengths[schema.lifelong]], tf.int64)
                     for field in schema.item}
            labels = {key: tf.zeros([1, 1]) for key in schema.label_keys}
            self({**batch, **drawn, **labels}, returns="losses")
        for objective in self.objectives.values():
            objective.build_weights(self.embedder)

    def call(self, batch: Batch | LookedUp, training: bool = False, returns: Returns = "logit") -> Any:
        """Scores the candidates of a batch.

        Args:
          batch: see the class.
          training: whether dropout and the like are active.
          returns: "logit" of the first label `[B, C]`; "logits", label -> `[B, C]`; or "losses", these and the terms
            of the long-term model's own loss by candidate, {} where it has none.
        """
        looked_up = batch if isinstance(batch, LookedUp) else self.embedder.read(batch)
        inputs = self.tower_inputs(looked_up, training)
        losses: dict[str, tf.Tensor] = {}
        own = self.own_loss if returns == "losses" else None
        if own is not None:
            label = tf.cast(looked_up.labels[self.head.labels[0]], tf.float32)
            known = TrainingInputs(inputs.concatenated, label, looked_up.mask)
            interest, losses = own.interest_and_losses(inputs.candidate, looked_up.lifelong, known, training)
        else:
            interest = self.long_term(inputs.candidate, looked_up.lifelong, training=training)
        logits = self._logits(inputs, interest, looked_up.mask, training)
        return {"logit": logits[self.head.labels[0]], "logits": logits, "losses": (logits, losses)}[returns]

    def _logits(self, inputs: TowerInputs, interest: tf.Tensor, mask: tf.Tensor, training: bool
                ) -> dict[str, tf.Tensor]:
        """Label -> logit `[B, C]` of what the tower reads and the lifelong interest."""
        inputs.interests[self.embedder.schema.lifelong] = interest
        hidden = self.tower(inputs if _reads_fields(self.tower) else inputs.concatenated, mask=mask,
                            training=training)
        return self.head(hidden, inputs) if _reads_fields(self.head) else self.head(hidden)

    def logits_from_state(self, looked_up: LookedUp, state: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Label -> logit `[B, C]` of a batch without lifelong events, and what the long-term model kept of them.

        Raises:
          TypeError: it is none that `KeepsState`.
        """
        inputs, model = self.tower_inputs(looked_up), self.long_term
        if not isinstance(model, KeepsState):
            raise TypeError(f"the long-term model {model.name} keeps no state")
        interest = model.from_state(inputs.candidate, state, looked_up.lifelong)
        return self._logits(inputs, interest, looked_up.mask, training=False)

    def tower_inputs(self, looked_up: LookedUp, training: bool = False) -> TowerInputs:
        """What the tower reads, all but the lifelong interest."""
        candidate = looked_up.candidate
        candidates = tf.shape(candidate)[1]
        user = {name: tf.repeat(feature[:, tf.newaxis], candidates, axis=1) for name, feature in looked_up.user.items()}
        interests = {name: self._short_interest(name, candidate, looked_up, training) for name in self.short_term}
        return TowerInputs(user, candidate, looked_up.candidate_side, interests, looked_up.scenario)

    def _short_interest(self, name: str, candidate: tf.Tensor, looked_up: LookedUp, training: bool) -> tf.Tensor:
        """What the encoder of a short history makes of it, `[B, C, width]`."""
        encoder, history = self.short_term[name], looked_up.history(name)
        if not isinstance(encoder, ReadsOthers):
            return encoder(candidate, history, training=training)
        others = encoder.other_histories(self.embedder.schema, name)
        return encoder(candidate, history, {other: looked_up.history(other) for other in others}, training=training)

    # No tensor decides what Python does here, and conversion would cost each process seconds.
    @tf.autograph.experimental.do_not_convert
    def predict_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Flat vectors `[N]` of a batch's candidate rows: their keys, numbers, labels, logits and history lengths.

        `label` and `logit` are of the first label; of each other one there are `label of <name>`, `logit of <name>` and
        `counted of <name>` (bool), whether the label that it is given is 1, and where it is given one, `joint_logit of
        <name>`, that it and all that it is given are 1. `target_length` and `source_length` (int64)
        count the events of the target domain's short history and of the lifelong one that the candidate sees.
        """
        looked_up, schema = self.embedder.look_up(batch), self.embedder.schema
        first, *others = self.head.labels
        logits = self(looked_up, training=False, returns="logits")
        values = {"user_key": tf.broadcast_to(batch["user_key"][:, tf.newaxis], tf.shape(looked_up.mask)),
                  "impression_id": batch["impression_id"], "row_number": batch["row_number"],
                  "label": looked_up.labels[first], "logit": logits[first]}
        given = {label.name for label in schema.labels if label.given is not None}
        joint = joint_logits(logits, [label for label in schema.labels if label.name in logits]) if others else {}
        for name in others:
            fields = {"label": looked_up.labels[name], "logit": logits[name], "counted": looked_up.given(name)}
            if name in given:
                fields["joint_logit"] = joint[name]
            values.update({f"{field} of {name}": value for field, value in fields.items()})
        target = [name for name in schema.short if schema.histories[name].domain == TARGET][:1]
        for name, histories in (("target_length", target), ("source_length", [schema.lifelong])):
            counts = [tf.math.count_nonzero(looked_up.visible(history), axis=-1) for history in histories]
            values[name] = tf.add_n([tf.zeros_like(batch["timestamp"]), *counts])
        return {name: tf.boolean_mask(value, looked_up.mask) for name, value in values.items()}


def _reads_fields(part: Any) -> bool:
    return isinstance(part, ReadsFields) and part.reads_fields
