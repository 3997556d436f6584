"""LCN-200-50 as one writes it straight from the paper: the measure of the model's speed, and a second implementation.

Every feature is looked up id by id at every position, each history with all of its context; each level is the printed
equation, brought to the size of the candidate's embedding; TensorFlow finds the gradients. One candidate a row. The
tables are trained by Keras' Adam, whose step touches every row. The same model as `build_model` composes by default:
with its weights (`weight_pairs`), the same logits, losses and gradients.

Shapes: B rows, S short events, L lifelong events, K kept events, D item width, E = D + D_c event width, D_a attention
width, H heads, D_h = D_a / H, M negative pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from lcn_tf.layers.crp import CRP_TERMS, ItemHistory, sample_pairs
from lcn_tf.metrics import StreamingAUC
from lcn_tf.models import CTRModel
from lcn_tf.schema import FIRST_ID, TIME_GAP, FeatureSchema

Batch = Mapping[str, tf.Tensor]


class PlainLCN(tf.keras.Model):
    """The model.

    Args:
      schema: features and tables; candidate features are concatenated after the item's, as `CTRModel` does.
      embedding_dim: width of every feature.
      msa_top_k, fsa_top_k: K of the two levels.
      num_negatives: M of each CRP term.
      seed: of CRP's pairs.

    Call arguments:
      batch: tensors as in the table of `lcn_tf.schema`, flat (C = 1), without offsets.

    Returns:
      logit `[B]`.
    """

    attention_dim, num_heads, ffn_dim = 64, 4, 256
    crp_weight, temperature = 0.1, 0.2

    def __init__(self, schema: FeatureSchema, embedding_dim: int = 64, msa_top_k: int = 200, fsa_top_k: int = 50,
                 num_negatives: int = 4096, seed: int = 0):
        super().__init__()
        self.schema = schema
        self.msa_top_k, self.fsa_top_k = msa_top_k, fsa_top_k
        self.num_negatives = num_negatives
        self.seed = seed
        self.tables = {name: self.add_weight(name=f"{name}_table", shape=(rows, embedding_dim),
                                             initializer="glorot_uniform") for name, rows in schema.tables.items()}
        dense = tf.keras.layers.Dense
        self.short = {name: [dense(80, "sigmoid"), dense(40, "sigmoid"), dense(1)]
                      for name in ("short_target", "short_source")}
        self.msa = [dense(self.attention_dim, use_bias=False) for _ in ("query", "key", "value")]
        self.fsa = [dense(self.attention_dim, use_bias=False) for _ in ("query", "key", "value")]
        self.ffn = [dense(self.ffn_dim, "relu"), dense(self.attention_dim)]
        self.tower = [dense(256, "relu"), dense(128, "relu"), dense(1)]
        self.auc = StreamingAUC(name="auc")
        names = ("loss", "ctr_loss", *(f"crp_{term}" for term in CRP_TERMS))
        self.losses_seen = {name: tf.keras.metrics.Mean(name=name) for name in names}

    @property
    def metrics(self) -> list[tf.keras.metrics.Metric]:
        """Running means of the losses, and the AUC."""
        return [*self.losses_seen.values(), self.auc]

    def call(self, batch: Batch) -> tf.Tensor:
        """Logits `[B]`."""
        schema = self.schema
        candidate = self.items({feature.name: batch[feature.name][:, 0] for feature in schema.item})  # [B, D]
        side = [self.lookup(feature.table, batch[feature.name][:, 0]) for feature in (*schema.candidate,
                                                                                      *schema.request)]
        user = [self.lookup(feature.table, batch[feature.name]) for feature in schema.user]
        interests = [self.short_interest(name, candidate, batch) for name in self.short]
        hidden = tf.concat([*user, candidate, *side, *interests, self.lifelong_interest(candidate, batch)], -1)
        for layer in self.tower:
            hidden = layer(hidden)
        return hidden[:, 0]

    def lookup(self, table: str, ids: tf.Tensor) -> tf.Tensor:
        """Rows of a table, `[...]` to `[..., embedding_dim]`."""
        return tf.nn.embedding_lookup(self.tables[table], ids)

    def items(self, ids: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Item embeddings `[..., D]` of ids by field."""
        return tf.concat([self.lookup(feature.table, ids[feature.name]) for feature in self.schema.item], -1)

    def history_items(self, name: str, batch: Batch) -> tf.Tensor:
        """Item embeddings of a history, `[B, L, D]`."""
        return self.items({feature.name: batch[f"{name}_{feature.name}"] for feature in self.schema.item})

    def history_context(self, name: str, batch: Batch) -> list[tf.Tensor]:
        """Context embeddings of a history, `[B, L, embedding_dim]` each."""
        schema = self.schema
        fields = [self.lookup(feature.table, batch[f"{name}_{feature.name}"]) for feature in schema.context]
        if schema.time_gap_boundaries:
            gap = batch["timestamp"] - batch[f"{name}_timestamp"]  # [B, L]
            boundaries = tf.constant(schema.time_gap_boundaries, gap.dtype)
            bucket = tf.searchsorted(boundaries, tf.reshape(gap, [-1]), side="right")
            fields.append(self.lookup(TIME_GAP, tf.reshape(bucket + FIRST_ID, tf.shape(gap))))
        return fields

    def short_interest(self, name: str, candidate: tf.Tensor, batch: Batch) -> tf.Tensor:
        """DIN's attention over a short history (KDD 2018, section 4.3, and the authors' code), `[B, D]`."""
        keys = self.history_items(name, batch)  # [B, S, D]
        query = tf.broadcast_to(candidate[:, tf.newaxis], tf.shape(keys))
        hidden = tf.concat([query, keys, query - keys, query * keys], -1)  # [B, S, 4 D]
        for layer in self.short[name]:
            hidden = layer(hidden)
        scores = masked_softmax(hidden[..., 0] / keys.shape[-1] ** 0.5, batch[f"{name}_mask"])
        return tf.einsum("bs,bsd->bd", scores, keys)

    def lifelong_interest(self, candidate: tf.Tensor, batch: Batch) -> tf.Tensor:
        """The three levels of LAP (section 4.3, eqs 7 to 13), `[B, D + 2 D_a]`."""
        items = self.history_items("lifelong_source", batch)  # [B, L, D]
        events = tf.concat([items, *self.history_context("lifelong_source", batch)], -1)  # [B, L, E]
        mask = batch["lifelong_source_mask"]
        relevance = tf.einsum("bld,bd->bl", items, candidate)
        csa = tf.einsum("bl,bld->bd", tf.where(mask, relevance, 0.0), items)
        events, mask = best_events(relevance, events, mask, self.msa_top_k)  # [B, K, E]
        msa, logits = self.msa_level(candidate, events, mask)
        events, mask = best_events(logits, events, mask, self.fsa_top_k)
        levels = [csa, msa, self.fsa_level(candidate, events, mask)]
        size = tf.stop_gradient(tf.norm(candidate, axis=-1, keepdims=True)) * candidate.shape[-1] ** -0.5
        directions = [tf.math.l2_normalize(level, -1, epsilon=1e-30) * level.shape[-1] ** 0.5 for level in levels]
        return tf.concat(directions, -1) * size

    def msa_level(self, candidate: tf.Tensor, events: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Eqs 9 and 10 with a softmax: the interest `[B, D_a]` and the logits `[B, K]`."""
        query, key, value = self.msa
        logits = tf.einsum("ba,bka->bk", query(candidate), key(events)) / self.attention_dim ** 0.5
        return tf.einsum("bk,bka->ba", masked_softmax(logits, mask), value(events)), logits

    def fsa_level(self, candidate: tf.Tensor, events: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Eqs 11 to 13, `[B, D_a]`."""
        query, key, value = (self.heads(layer(side)) for layer, side in zip(self.fsa, (candidate, events, events),
                                                                           strict=True))
        logits = tf.einsum("bhd,bkhd->bhk", query, key) / query.shape[-1] ** 0.5
        attended = tf.einsum("bhk,bkhd->bhd", masked_softmax(logits, mask[:, tf.newaxis]), value)
        output = tf.reshape(attended, [-1, self.attention_dim])
        for layer in self.ffn:
            output = layer(output)
        return tf.where(tf.reduce_any(mask, axis=-1, keepdims=True), output, 0.0)

    def heads(self, projected: tf.Tensor) -> tf.Tensor:
        """`[..., D_a]` to `[..., H, D_h]`."""
        shape = [self.num_heads, self.attention_dim // self.num_heads]
        return tf.reshape(projected, tf.concat([tf.shape(projected)[:-1], shape], 0))

    def losses_of(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Every term of the loss, weights applied (eqs 2 and 14)."""
        logit = self(batch)
        self.auc.update_state(batch["label"], logit[:, tf.newaxis])
        entropy = tf.nn.sigmoid_cross_entropy_with_logits(batch["label"][:, 0], logit)
        return {"ctr_loss": tf.reduce_mean(entropy), **self.crp(batch)}

    def crp(self, batch: Batch) -> dict[str, tf.Tensor]:
        """CRP's terms (section 4.2, eqs 3 to 5), of the very pairs that `CTRModel` draws."""
        target, source = (
            ItemHistory({feature.name: batch[f"{name}_{feature.name}"] for feature in self.schema.item},
                        batch[f"{name}_mask"]) for name in ("short_target", "short_source"))
        seed = tf.stack([tf.constant(self.seed, tf.int64), tf.cast(self.optimizer.iterations, tf.int64)])
        losses = {}
        for term in CRP_TERMS:
            pairs = sample_pairs(term, target, source, batch["user_key"][:, tf.newaxis], batch["candidate_mask"],
                                 self.num_negatives, True, seed)
            positives = self.cosine(pairs.first, pairs.second) / self.temperature  # [B]
            negatives = self.cosine(pairs.negative_first, pairs.negative_second) / self.temperature  # [M]
            denominator = tf.reduce_logsumexp(tf.where(pairs.negative_valid, negatives, -1e9))
            terms = tf.boolean_mask(denominator - positives, pairs.valid)
            losses[f"crp_{term}"] = self.crp_weight * tf.math.divide_no_nan(
                tf.reduce_sum(terms), tf.cast(tf.size(terms), tf.float32))
        return losses

    def cosine(self, first: Mapping[str, tf.Tensor], second: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Cosines of pairs of items, ids `[M]` by field to `[M]`."""
        return tf.reduce_sum(normalised(self.items(first)) * normalised(self.items(second)), -1)

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """One step of the optimiser; returns the running metrics."""
        with tf.GradientTape() as tape:
            losses = self.losses_of(batch)
            total = tf.add_n(list(losses.values()))
        self.optimizer.minimize(total, self.trainable_variables, tape)
        for name, value in {"loss": total, **losses}.items():
            self.losses_seen[name].update_state(value)
        return {metric.name: metric.result() for metric in self.metrics}


def masked_softmax(logits: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Softmax over the unmasked events; zeros where there is none."""
    return tf.where(mask, tf.nn.softmax(tf.where(mask, logits, -1e9), -1), 0.0)


def best_events(scores: tf.Tensor, events: tf.Tensor, mask: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The `k` best of the unmasked events `[B, L, E]` by `scores [B, L]`, `[B, K, E]`, and their mask."""
    indices = tf.math.top_k(tf.where(mask, scores, tf.float32.min), min(k, scores.shape[-1])).indices
    return tf.gather(events, indices, batch_dims=1), tf.gather(mask, indices, batch_dims=1)


def normalised(vectors: tf.Tensor) -> tf.Tensor:
    """Vectors divided by their norm."""
    return vectors * tf.math.rsqrt(tf.reduce_sum(tf.square(vectors), -1, keepdims=True) + 1e-8)


def compile_plain(model: PlainLCN, batch: Batch, learning_rate: float = 1e-3) -> None:
    """Creates the weights and the optimiser."""
    model(batch)
    model.compile(optimizer=tf.keras.optimizers.Adam(learning_rate, jit_compile=False))
    model.optimizer.build(model.trainable_variables)


def weight_pairs(plain: PlainLCN, model: CTRModel) -> list[tuple[tf.Variable, tf.Variable]]:
    """Each weight of a built plain model beside that of a built `CTRModel` with default components and one seed."""
    lap = model.long_term.lap
    theirs: list[Any] = [model.embedder.tables.vectors[name] for name in plain.tables]
    ours: list[Any] = list(plain.tables.values())
    for name, layers in plain.short.items():
        ours += [weight for layer in layers for weight in layer.weights]
        theirs += model.short_term[name].trainable_variables
    for level, layers in ((lap.msa, plain.msa), (lap.fsa, plain.fsa)):
        ours += [layer.kernel for layer in layers]
        theirs += [level.query.kernel, level.projections.key_kernel, level.projections.value_kernel]
    ours += [weight for layer in plain.ffn for weight in layer.weights]
    theirs += [*lap.fsa.ffn_hidden.weights, *lap.fsa.ffn_output.weights]
    ours += [weight for layer in plain.tower for weight in layer.weights]
    theirs += [*model.tower.trainable_variables, *model.head.trainable_variables]
    return list(zip(ours, theirs, strict=True))
