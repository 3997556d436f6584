"""Cross Representation Production as a training objective (LCN paper, section 4.2, eqs 3 to 5)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Literal

import tensorflow as tf

from lcn_tf.contracts import Everyone, LookedUp
from lcn_tf.embeddings import FeatureEmbedder
from lcn_tf.embeddings.sequence_rows import short_histories
from lcn_tf.layers.crp import CRP_TERMS, ItemHistory, crp_sums
from lcn_tf.schema import FeatureSchema

VERSION = 1

_PROJECTION_DIM = 64  # output width of the training-only projection


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of CRP; the defaults are the paper's where it states them, and docs/readings.md has the other readings.

    Separate tables (`tables="separate"`) are read by a search by inner product alone, that is LAP's CSA and SIM's with
    `gsu="inner"`. Beside another model CRP would train tables that no score depends on: `build_model` refuses it.
    """

    weight: float = dataclasses.field(default=0.1, metadata={"help": "lambda of eq. 14; 0 turns CRP off"})
    terms: tuple[str, ...] = dataclasses.field(
        default=CRP_TERMS, metadata={"help": "pt (target-target), ps (source-source), pc (cross), any subset"})
    term_weights: tuple[float, ...] = dataclasses.field(
        default=(1.0, 1.0, 1.0), metadata={"help": "weights of pt, ps, pc"})
    temperature: float = dataclasses.field(
        default=0.2, metadata={"help": "tau, not in the paper; chosen on two validation sets, see "
                                       "experiments/results"})
    num_negatives: int = dataclasses.field(default=4096, metadata={"help": "M negative pairs of each term"})
    denominator: Literal["negatives", "infonce", "inbatch"] = dataclasses.field(
        default="negatives", metadata={"help": "reading: what the denominators hold; negatives as printed"})
    reduce: Literal["valid_mean", "batch_mean"] = dataclasses.field(
        default="valid_mean", metadata={"help": "reading: mean over rows that have a pair, or over all rows"})
    tables: Literal["shared", "separate", "projection"] = dataclasses.field(
        default="shared", metadata={"help": "reading: embeddings that CRP trains: the model's, CSA's own, or the "
                                            "model's through a projection"})
    rows: Literal["all", "positive", "unique_user"] = dataclasses.field(
        default="all", metadata={"help": "reading: which rows feed CRP"})
    negatives_by: Literal["user", "row"] = dataclasses.field(
        default="user", metadata={"help": "reading: negatives join different users, or merely different rows"})
    negatives_scope: Literal["global", "per_replica"] = dataclasses.field(
        default="global", metadata={"help": "reading: draw from the global batch, or from each replica's share"})
    mask_same_id: bool = dataclasses.field(
        default=True, metadata={"help": "reading: leave out pairs of two equal items"})

    def __post_init__(self):
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"crp.weight must be a number that is not negative, got {self.weight}")
        if unknown := set(self.terms) - set(CRP_TERMS):
            raise ValueError(f"crp.terms has {sorted(unknown)}; known: {', '.join(CRP_TERMS)}")
        if len(set(self.terms)) < len(self.terms):
            raise ValueError(f"crp.terms names one twice: {','.join(self.terms)}")
        if len(self.term_weights) != len(CRP_TERMS) or not all(0 <= factor < math.inf for factor in self.term_weights):
            raise ValueError(f"crp.term_weights needs {len(CRP_TERMS)} numbers, none negative, got {self.term_weights}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"crp.temperature must be positive, got {self.temperature}")
        if self.num_negatives < 1:
            raise ValueError(f"crp.num_negatives must be at least 1, got {self.num_negatives}")


class CRPObjective(tf.keras.layers.Layer):
    """Contrastive losses over pairs of the users' short histories; training only.

    Attributes:
      weight, terms, separate_tables, per_replica: see `lcn_tf.contracts.Objective`.
    """

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.weight = config.weight
        self.factors = dict(zip(CRP_TERMS, config.term_weights, strict=True))
        self.terms = tuple(term for term in config.terms if self.factors[term]) if config.weight else ()
        self.separate_tables = config.tables == "separate"
        self.per_replica = config.negatives_scope == "per_replica"
        self.projection: tf.keras.Model | None = None

    def reads(self, schema: FeatureSchema) -> tuple[str, ...]:
        """Names of the batch tensors that a call reads of everyone.

        Raises:
          ValueError: the schema has no short history of the target or of the lifelong history's domain.
        """
        histories = short_histories(schema)
        items = tuple(f"{history}_{feature.name}" for history in histories for feature in schema.item)
        windows = tuple(f"{history}_{part}" for history in histories for part in ("mask", "offset"))
        return ("user_key", schema.label_keys[0], "candidate_mask", *items, *windows)

    def build_weights(self, embedder: FeatureEmbedder) -> None:
        """Creates the projection where there is one."""
        if self.config.tables == "projection":
            self.projection = tf.keras.Sequential([
                tf.keras.layers.Dense(embedder.item_width, activation="relu", name="hidden"),
                tf.keras.layers.Dense(_PROJECTION_DIM, name="output")], name="projection")
            self.projection.build([None, embedder.item_width])

    def call(self, own: LookedUp, everyone: Everyone, seed: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Losses of a batch, see `lcn_tf.contracts.Objective`.

        Every candidate has pairs of its own, of events it may see. Which, and which negatives all share, is the same on
        every replica; each adds up the losses of its own candidates.

        Args:
          own: the replica's batch.
          everyone: the tensors of `reads` of all replicas.
          seed: int64 `[2]`; the same seed gives the same pairs.

        Returns:
          Term -> sum and count, float32 scalars, term weights applied, `weight` not.
        """
        looked_up, config = everyone.looked_up, self.config
        batch, schema = looked_up.batch, looked_up.reader.schema
        short_target, short_source = (
            ItemHistory(looked_up.reader.item_keys(f"{history}_"), batch[f"{history}_mask"], batch[f"{history}_offset"],
                        looked_up.lengths[history])
            for history in short_histories(schema))
        counted = looked_up.mask
        if config.rows == "positive":
            counted &= batch[schema.label_keys[0]] > 0
        sums = crp_sums(
            short_target, short_source, self._embed(looked_up), batch["user_key"], counted, seed,
            terms=self.terms, temperature=config.temperature, num_negatives=config.num_negatives,
            denominator=config.denominator, reduce=config.reduce, rows=config.rows, negatives_by=config.negatives_by,
            mask_same_id=config.mask_same_id, anchors=(everyone.begin, everyone.begin + tf.shape(own.mask)[0]))
        return {term: (self.factors[term] * total, count) for term, (total, count) in sums.items()}

    def _embed(self, looked_up: LookedUp) -> Callable[[Mapping[str, tf.Tensor]], tf.Tensor]:
        if self.separate_tables:
            return looked_up.reader.search_items
        projection = self.projection
        if projection is None:
            return looked_up.reader.items
        return lambda keys: projection(looked_up.reader.items(keys))


def build(config: Config) -> CRPObjective:
    """The objective of a configuration."""
    return CRPObjective(config, name="crp")
