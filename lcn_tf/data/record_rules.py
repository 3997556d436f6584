"""What makes a record a request group of its schema: once for many parsed records, once for one that is at fault.

The rules of time (`in_order`) take as long as all others: whoever looks through a split keeps them, training does not.

| what                | rule                                                                                 |
|---------------------|--------------------------------------------------------------------------------------|
| every feature       | a list of int64                                                                      |
| user features       | exactly one value                                                                    |
| candidates' features | as many values as each other, labels and offsets included                            |
| a history's features | as many values as each other                                                        |
| ids                 | 0 to the rows of their table, exclusive                                              |
| labels              | 0 or 1; 0 where the label that they are given is 0                                   |
| timestamps          | seconds from 1970 to the end of the year 9999                                        |
| offsets             | 0 to the number of the history's events                                              |
| candidates, events  | no padding: their first item feature is not 0, by which serving knows padding        |
| histories           | most recent event first; events of one second in any order                           |
| what a candidate sees | no event later than its own timestamp, where that is not 0                         |

`user_key` and `impression_id` are any integers, and may repeat. An empty list may be left out. A record without times
has 0 for each.

Shape letters: F features, G records, N impressions, H histories, E events of all histories.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Mapping, Sequence

import tensorflow as tf
from google.protobuf.message import DecodeError

from lcn_tf.schema import OOV_ID, PADDING_ID, FeatureSchema, Label

_LAST_SECOND = 253_402_300_799  # of the year 9999: larger timestamps are not seconds

Parsed = Mapping[str, tf.Tensor | tf.RaggedTensor]
Lists = Mapping[str, Sequence[int]]


def fits(schema: FeatureSchema, parsed: Parsed) -> tf.Tensor:
    """Whether all of some parsed records keep the rules, but for those of time, a scalar.

    Args:
      schema: of the records.
      parsed: as of `records.parse`; what that refuses (types, the number of a user feature's values) is not looked at.

    Raises:
      tf.errors.InvalidArgumentError: the records do not keep them, and cannot be compared.
    """
    kept = []  # few operations: each takes longer to begin than to run
    for names in _lists(schema).values():
        splits = tf.stack([parsed[name].row_splits for name in names])  # [F, G + 1]
        kept.append(tf.reduce_all(splits == splits[0]))
    limits, first_axis, largest = _limits(schema), tf.constant([0]), []
    for name in limits:
        values = parsed[name].flat_values if isinstance(parsed[name], tf.RaggedTensor) else parsed[name]
        # As unsigned numbers, negative ones are large; of no values, the largest is 0.
        largest.append(tf.raw_ops.Max(input=tf.bitcast(values, tf.uint64), axis=first_axis))
    kept.append(tf.reduce_all(tf.stack(largest) < tf.constant([limit for limit, _ in limits.values()], tf.uint64)))
    hidden, stored = _hidden_and_stored(schema, parsed)
    kept.append(tf.reduce_all((hidden >= 0) & (hidden <= stored)))
    kept += [tf.reduce_all(parsed[label.key].flat_values <= parsed[given.key].flat_values)
             for label, given in _given(schema)]
    kept.append(_without_padding(schema, parsed))
    return tf.reduce_all(tf.stack(kept))


def _without_padding(schema: FeatureSchema, parsed: Parsed) -> tf.Tensor:
    """Whether the first item feature of every candidate and event is not 0."""
    every = [parsed[name].flat_values for name in _items(schema).values()]
    return tf.reduce_min(tf.stack([tf.reduce_min(ids) for ids in every])) > PADDING_ID


def in_order(schema: FeatureSchema, parsed: Parsed) -> tf.Tensor:
    """Whether histories go from new to old, and no candidate sees an event that is later than itself, a scalar.

    Args:
      schema, parsed: as of `fits`, which the records pass.
    """
    hidden, stored = _hidden_and_stored(schema, parsed)
    times = [parsed[f"{history}_timestamp"] for history in schema.histories]
    ends = tf.cumsum(tf.stack([tf.size(history.flat_values, tf.int64) for history in times]), exclusive=True)
    splits = tf.stack([history.row_splits for history in times]) + ends[:, tf.newaxis]  # [H, G + 1]
    values = tf.concat([*(history.flat_values for history in times), [0]], 0)  # [E + 1]
    rises = values[1:] > values[:-1]  # [E], from each event to the next one, which may be that of another list
    last = tf.boolean_mask(splits[:, 1:], splits[:, 1:] > splits[:, :-1]) - 1  # of each list that has events
    between = tf.math.count_nonzero(tf.gather(rises, last))
    moments = parsed["timestamp"]
    newest = tf.gather(splits, moments.value_rowids(), axis=1) + hidden  # [H, N]
    seen = tf.where(hidden < stored, tf.gather(values, newest), 0)
    leaked = (seen > moments.flat_values) & (moments.flat_values > 0)
    return (tf.math.count_nonzero(rises) == between) & ~tf.reduce_any(leaked)


def _hidden_and_stored(schema: FeatureSchema, parsed: Parsed) -> tuple[tf.Tensor, tf.Tensor]:
    """Newest events of each history that a candidate does not see, and events that its record has, `[H, N]`."""
    hidden = tf.stack([parsed[f"{history}_offset"].flat_values for history in schema.histories])
    stored = tf.stack([parsed[f"{history}_timestamp"].row_lengths() for history in schema.histories])  # [H, G]
    return hidden, tf.gather(stored, parsed["timestamp"].value_rowids(), axis=1)


def objection(schema: FeatureSchema, serialized: bytes) -> str | None:
    """What is wrong with one record, with the feature and its value; None where it keeps the rules."""
    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except DecodeError as error:
        return f"not a tf.train.Example ({error})"
    lists: dict[str, Sequence[int]] = {}
    for name in schema.record_names:
        kind = features[name].WhichOneof("kind") if name in features else None
        if kind not in (None, "int64_list"):
            return f"feature {name!r} is a {kind}, expected an int64_list"
        lists[name] = features[name].int64_list.value if kind else ()
    for name in schema.user_names:
        if len(lists[name]) != 1:
            return f"feature {name!r} {_number(lists[name], name in features)}, expected 1"
    for owner, names in _lists(schema).items():
        sizes = [len(lists[name]) for name in names]
        usual = collections.Counter(sizes).most_common(1)[0][0]
        odd = next((name for name in names if len(lists[name]) != usual), None)
        if odd:
            return (f"feature {odd!r} {_number(lists[odd], odd in features)}, but {names[sizes.index(usual)]!r} has "
                    f"{usual}; expected one for each {owner}")
    for name, (limit, why) in _limits(schema).items():
        outside = next((value for value in lists[name] if not 0 <= value < limit), None)
        if outside is not None:
            return f"feature {name!r} has the value {outside}, expected 0 to {limit - 1} ({why})"
    for label, given in _given(schema):
        if any(value > other for value, other in zip(lists[label.key], lists[given.key], strict=True)):
            return f"feature {label.key!r} has the value 1 where {given.key!r} has 0, given which it says nothing"
    for history in schema.histories:
        stored = len(lists[f"{history}_timestamp"])
        outside = next((value for value in lists[f"{history}_offset"] if not 0 <= value <= stored), None)
        if outside is not None:
            return (f"feature '{history}_offset' has the value {outside}, expected 0 to {stored} (the events of the "
                    "history, of which it hides the newest)")
    return _padding(schema, lists) or _disorder(schema, lists)


def _padding(schema: FeatureSchema, lists: Lists) -> str | None:
    """The first candidate or event that is padding."""
    for owner, name in _items(schema).items():
        if PADDING_ID in lists[name]:
            place = list(lists[name]).index(PADDING_ID)
            return (f"feature {name!r} has the value 0 at place {place}: that is padding, no {owner}; an unknown item "
                    f"is {OOV_ID}")
    return None


def _disorder(schema: FeatureSchema, lists: Lists) -> str | None:
    """The first event that is more recent than the one before it, or later than a candidate that sees it."""
    for history in schema.histories:
        name = f"{history}_timestamp"
        times = lists[name]
        for place, (newer, older) in enumerate(itertools.pairwise(times)):
            if older > newer:
                return (f"feature {name!r} rises from {newer} at place {place} to {older} at place {place + 1}; "
                        "expected the most recent event first")
        for candidate, (moment, hidden) in enumerate(zip(lists["timestamp"], lists[f"{history}_offset"], strict=True)):
            if moment and hidden < len(times) and times[hidden] > moment:
                return (f"feature {name!r} has the value {times[hidden]} at place {hidden}, later than the candidate "
                        f"at place {candidate} that sees it: 'timestamp' {moment}, '{history}_offset' {hidden}")
    return None


def lacking(schema: FeatureSchema, serialized: bytes) -> str:
    """More about a wrong record that lacks features, as those of another schema do; "" if it has all of them."""
    try:
        found = tf.train.Example.FromString(serialized).features.feature
    except DecodeError:
        return ""
    absent = [name for name in schema.record_names if name not in found]
    return f"; of another schema? {schema.name!r} needs {absent} too, the record has {sorted(found)}" if absent else ""


def _lists(schema: FeatureSchema) -> dict[str, tuple[str, ...]]:
    """What has one value in a list -> the features with such lists."""
    return {"candidate": schema.impression_names,
            **{f"event of {history}": schema.history_names(history) for history in schema.histories}}


def _items(schema: FeatureSchema) -> dict[str, str]:
    """What an item is -> the feature that is 0 where there is none, the first of the item's."""
    first = schema.item[0].name
    return {"candidate": first, **{f"event of {history}": f"{history}_{first}" for history in schema.histories}}


def _limits(schema: FeatureSchema) -> dict[str, tuple[int, str]]:
    """Feature -> the first value that is too large, and why."""
    moments = ("timestamp", *(f"{history}_timestamp" for history in schema.histories))
    ids = {name: (schema.tables[table], f"its table {table!r} has {schema.tables[table]} rows")
           for name, table in schema.table_of_feature.items()}
    labels = {label.key: (2, f"a {label.name.replace('_', ' ')} or none") for label in schema.labels}
    return {**labels, **ids,
            **dict.fromkeys(moments, (_LAST_SECOND + 1, "seconds since 1970"))}


def _given(schema: FeatureSchema) -> list[tuple[Label, Label]]:
    """Labels that are given another, and that one."""
    by_name = {label.name: label for label in schema.labels}
    return [(label, by_name[label.given]) for label in schema.labels if label.given is not None]


def _number(values: Sequence[int], present: bool) -> str:
    return f"has {len(values)} values" if present else "is missing"
