"""What losses on sequences read of a batch: each request's short histories once, and items drawn from everyone's.

A row of a loss is a candidate with the events that it may see. Candidates of one request, moment and view are one row
that counts as often as there are candidates: a batch of requests and the batch of its single candidates have the same
rows, weights and draws. Shapes: B requests, C candidates, R rows, S events of a short history, M drawn items.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from lcn_tf.contracts import LookedUp
from lcn_tf.ops.merged_history import DomainHistory, EventSequence, event_sequences
from lcn_tf.ops.pair_sampling import at_least_one, draw_events, event_windows, fold_seed, numbered
from lcn_tf.schema import TARGET, FeatureSchema

KEY = "key of "  # prefix of a field's keys, by which vectors are read, beside its ids, by which items are compared


@dataclasses.dataclass(frozen=True)
class SequenceRows:
    """Rows of a replica's own batch.

    Attributes:
      sequences: their events, one sequence or two (`event_sequences`); ids by item field, and keys by `KEY` and field.
      row_ids: int64 `[R, 2]`, user and moment: rows of equal ids and views are equal.
      weight: float32 `[R]`, how many real candidates a row stands for.
      row_of: int32 `[B, C]`, the row that stands for each candidate.
    """

    sequences: tuple[EventSequence, ...]
    row_ids: tf.Tensor
    weight: tf.Tensor
    row_of: tf.Tensor

    @property
    def user(self) -> tf.Tensor:
        """Raw user of each row, int64 `[R]`."""
        return self.row_ids[:, 0]


@dataclasses.dataclass(frozen=True)
class DrawnItems:
    """Items of everyone's short histories, the same on every replica.

    Attributes:
      vectors: `[M, D]`.
      ids: int64 `[M]` by item field.
      user: int64 `[M]`, whose event it is.
      mask: bool `[M]`, False where there was nothing to draw.
    """

    vectors: tf.Tensor
    ids: dict[str, tf.Tensor]
    user: tf.Tensor
    mask: tf.Tensor


def short_histories(schema: FeatureSchema) -> tuple[str, str]:
    """The short histories of the target domain and of the lifelong history's.

    Raises:
      ValueError: the schema has none of one of the two.
    """
    return schema.short_of(TARGET), schema.short_of(schema.source)


def drawn_names(schema: FeatureSchema, histories: Sequence[str]) -> tuple[str, ...]:
    """Names of the batch tensors that `draw_items` reads."""
    fields = (*(feature.name for feature in schema.item), "mask", "offset")
    return ("user_key", "candidate_mask", *(f"{history}_{field}" for history in histories for field in fields))


def sequence_length(lengths: Sequence[int], mode: str) -> int:
    """Longest sequence of a mode, for short histories of the target and the source domain of the given lengths."""
    target, source = lengths
    return {"merged": target + source, "target": target, "source": source}.get(mode, max(target, source))


def sequence_rows(looked_up: LookedUp, mode: str = "merged", context: Sequence[str] = ()) -> SequenceRows:
    """The rows of a batch.

    Args:
      looked_up: the batch.
      mode: of `event_sequences`.
      context: names of context features, stored with both short histories, whose ids come with the events.
    """
    batch, reader = looked_up.batch, looked_up.reader
    histories = short_histories(reader.schema)
    offsets = tf.stack([batch["timestamp"], *(batch[f"{history}_offset"] for history in histories)])  # [3, B, C]
    same = tf.reduce_all(tf.equal(offsets, offsets[:, :, :1]) | ~looked_up.mask)
    candidates = tf.where(same, 1, tf.shape(looked_up.mask)[1])  # of a request, that have rows of their own

    def by_row(values: tf.Tensor) -> tf.Tensor:  # `[B, S]`, a request's -> `[R, S]`
        return tf.repeat(values, candidates, axis=0)

    def own(values: tf.Tensor) -> tf.Tensor:  # `[B, C, ...]`, a candidate's -> `[R, ...]`
        return tf.reshape(values[:, :candidates], tf.concat([[-1], tf.shape(values)[2:]], 0))

    parts: list[DomainHistory] = []
    for history in histories:
        names = (*(feature.name for feature in reader.schema.item), *context)
        ids = {name: by_row(batch[f"{history}_{name}"]) for name in names}
        keys = {f"{KEY}{name}": tf.cast(by_row(values), tf.int64)
                for name, values in reader.item_keys(f"{history}_").items()}
        visible = own(looked_up.history(history).mask)
        parts.append(DomainHistory({**ids, **keys}, by_row(batch[f"{history}_timestamp"]), visible))
    longest = sequence_length([looked_up.lengths[history] for history in histories], mode)
    real = tf.cast(looked_up.mask, tf.float32)
    weight = tf.where(same, tf.reduce_sum(real, axis=1, keepdims=True), real)  # [B, 1 or C]
    requests, places = tf.unstack(tf.shape(looked_up.mask))
    users = tf.broadcast_to(batch["user_key"][:, tf.newaxis], [requests, places])
    row_of = candidates * tf.range(requests)[:, tf.newaxis] + tf.where(same, 0, tf.range(places))
    return SequenceRows(
        tuple(_first(sequence, longest) for sequence in event_sequences(parts[0], parts[1], mode)),
        tf.stack([own(users), own(batch["timestamp"])], axis=-1), own(weight), row_of)


def items_of(looked_up: LookedUp, sequence: EventSequence) -> tf.Tensor:
    """Item embeddings `[R, T, D]` of the events of a sequence of `sequence_rows`; arbitrary outside its mask."""
    return looked_up.reader.items({feature.name: sequence.ids[f"{KEY}{feature.name}"]
                                   for feature in looked_up.reader.schema.item})


def item_ids(looked_up: LookedUp, sequence: EventSequence) -> dict[str, tf.Tensor]:
    """Ids `[R, T]` by item field."""
    return {feature.name: sequence.ids[feature.name] for feature in looked_up.reader.schema.item}


def draw_items(everyone: LookedUp, histories: Sequence[str], count: int, seed: tf.Tensor) -> DrawnItems:
    """Draws an event of a candidate, uniform over those that see any, `count / len(histories)` times of each history.

    So items are drawn by their popularity in the histories of the batch. A draw belongs to a candidate's number in the
    batch and an event's rank among what it sees: the layout changes none.

    Args:
      everyone: the tensors of `drawn_names`.
      histories: to draw from.
      count: M, rounded up to a multiple of their number.
      seed: int64 `[2]`.
    """
    batch, reader = everyone.batch, everyone.reader
    real = at_least_one(everyone.mask)  # [B, C]
    counted = tf.reshape(real, [-1])  # [P]
    users = tf.broadcast_to(at_least_one(batch["user_key"])[:, tf.newaxis], tf.shape(real))
    parts = []
    for place, history in enumerate(histories):
        windows = event_windows(at_least_one(batch[f"{history}_mask"]), at_least_one(batch[f"{history}_offset"]),
                                everyone.lengths[history])
        numbers = tf.cumsum(tf.cast(counted & (windows.count > 0), tf.int32))  # [P]
        draws = tf.random.stateless_uniform([-(-count // len(histories))], fold_seed(seed, 2 * place), 0, tf.int32.max,
                                            tf.int32)
        chosen = numbered(numbers, draws % tf.maximum(numbers[-1], 1))
        events = draw_events(windows, chosen, fold_seed(seed, 2 * place + 1))

        def at(values: tf.Tensor, events: tf.Tensor = events) -> tf.Tensor:
            return tf.gather(tf.reshape(at_least_one(values), [-1]), events)

        keys = {name: at(values) for name, values in reader.item_keys(f"{history}_").items()}
        ids = {feature.name: at(batch[f"{history}_{feature.name}"]) for feature in reader.schema.item}
        parts.append((keys, ids, tf.gather(tf.reshape(users, [-1]), chosen),
                      tf.fill(tf.shape(chosen), numbers[-1] > 0)))
    keys, ids = ({name: tf.concat([part[index][name] for part in parts], 0) for name in parts[0][index]}
                 for index in (0, 1))
    return DrawnItems(reader.items(keys), ids, *(tf.concat([part[index] for part in parts], 0) for index in (2, 3)))


def _first(sequence: EventSequence, length: int) -> EventSequence:
    """The first `length` events; real ones come first, and there are no more."""
    def cut(values: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.pad(values[:, :length], [[0, 0], [0, tf.maximum(length - tf.shape(values)[1], 0)]]),
                               [None, length])

    return EventSequence({name: cut(values) for name, values in sequence.ids.items()}, cut(sequence.timestamp),
                         cut(sequence.domain), cut(sequence.position), cut(sequence.mask))
