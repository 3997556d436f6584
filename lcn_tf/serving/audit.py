"""Training-serving skew: requests that a server logged beside what preparation derives for the same user and moment.

A request is compared with the record of its user that shares most candidates and is nearest in time. Candidates meet by
the id that tells them apart best, events by their time and that id.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from lcn_tf.data import tfrecords
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.models.requests import identifying_feature, request_names, user_feature
from lcn_tf.schema import FIRST_ID, OOV_ID, FeatureSchema
from lcn_tf.serving.logged_requests import Values, asked_schema, read_requests
from lcn_tf.serving.recorded_requests import requests_of

_EXAMPLES = 3  # of a difference
_LEAST_SHARED = 0.5  # of a request's candidates that a record must have
MISSING, EXTRA = "events missing from the request", "events of the request alone"


@dataclasses.dataclass
class Difference:
    """What was found of one feature.

    Attributes:
      name: of a request's input, or of a history and what is odd about its events.
      compared: values (candidates, events, users) that request and record both have; for whole events, those of the
        record.
      differing: of these.
      examples: the first of them, in words.
    """

    name: str
    compared: int = 0
    differing: int = 0
    examples: list[str] = dataclasses.field(default_factory=list)

    def count(self, expected: object, found: object, where: str) -> None:
        """Adds a pair of values."""
        self.compared += 1
        if expected != found:
            self.differing += 1
            if len(self.examples) < _EXAMPLES:
                self.examples.append(f"{where}: prepared {expected}, served {found}")


@dataclasses.dataclass(frozen=True)
class Audit:
    """An audit's result.

    Attributes:
      requests: that were logged.
      matched: those with a record.
      differences: by name, of everything that was compared.
    """

    requests: int
    matched: int
    differences: dict[str, Difference]

    @property
    def differing(self) -> list[Difference]:
        """What differs, the largest share first."""
        found = [difference for difference in self.differences.values() if difference.differing]
        return sorted(found, key=lambda difference: -difference.differing / max(difference.compared, 1))


def audit(requests_path: str, data_dir: str) -> Audit:
    """Compares logged requests with prepared records.

    Args:
      requests_path: TFRecords of `PredictionLog` (`lcn_tf.serving.logged_requests`).
      data_dir: a prepared data set of the same vocabularies; every split is looked through.

    Raises:
      FileNotFoundError, ValueError: a file that is missing or is none; the message names it.
    """
    files = RecordFiles.open(data_dir)
    schema = asked_schema(requests_path, files.schema)
    files = dataclasses.replace(files, schema=schema)
    requests = list(read_requests(requests_path, schema))
    user, item = user_feature(schema), identifying_feature(schema, (*schema.item, *schema.candidate))
    events = identifying_feature(schema, schema.item)
    index = _index(files, requests, user, item)
    found = {name: Difference(name) for name in _compared_names(schema)}
    matched = 0
    for number, request in enumerate(requests, start=1):
        record = _best(request, index.get(_key(request, user, item), ()), item)
        if record is not None:
            matched += 1
            _compare(schema, record, request, item, events, found, f"request {number}")
    return Audit(len(requests), matched, found)


def format_audit(found: Audit) -> str:
    """An audit in words: what differs, how often, and examples."""
    lines = [f"{found.requests:,} requests, {found.matched:,} with a record of the same user and candidates"]
    if not found.differing:
        return "\n".join([*lines, "no difference" if found.matched else "nothing to compare"])
    width = max(len(difference.name) for difference in found.differing)
    for difference in found.differing:
        share = difference.differing / max(difference.compared, 1)
        lines.append(f"{difference.name:{width}}  {difference.differing:,} of {difference.compared:,} differ "
                     f"({share:.1%})")
        lines += [f"{'':{width}}    {example}" for example in difference.examples]
    return "\n".join(lines)


def _index(files: RecordFiles, requests: Iterable[Values], user: str | None, item: str) -> dict[object, list[Values]]:
    """Key -> requests that records would make, of those keys alone that logged requests have."""
    wanted = {_key(request, user, item) for request in requests}
    found: dict[object, list[Values]] = collections.defaultdict(list)
    with files.naming_bad_records():
        for record in tfrecords.in_order(files.paths).as_numpy_iterator():
            for _, request in requests_of(files.schema, record):
                # A user without an id of their own cannot be found by it: the first candidate's is taken.
                for key in _keys(request, user, item):
                    if key in wanted:
                        found[key].append(request)
    return found


def _key(request: Values, user: str | None, item: str) -> tuple[str, int]:
    if user is not None and request[user][0] >= FIRST_ID:
        return "user", request[user][0]
    return "item", request[item][0] if request[item] else OOV_ID


def _keys(request: Values, user: str | None, item: str) -> set[tuple[str, int]]:
    keys = {("item", value) for value in request[item]}
    return keys | ({("user", request[user][0])} if user is not None else set())


def _best(request: Values, records: Sequence[Values], item: str) -> Values | None:
    """The record that shares most candidates with a request; of several the nearest in time, then the most alike."""
    wanted = collections.Counter(request[item])

    def merit(record: Values) -> tuple[int, int, int]:
        shared = (wanted & collections.Counter(record[item])).total()
        alike = sum(record[name] == values for name, values in request.items())
        return shared, -abs(record["timestamp"][0] - request["timestamp"][0]), alike

    best = max(records, key=merit, default=None) if request["timestamp"] else None
    if best is None or merit(best)[0] < _LEAST_SHARED * len(request[item]):
        return None
    return best


def _compare(schema: FeatureSchema, record: Values, request: Values, item: str, event_item: str,
             found: dict[str, Difference], where: str) -> None:
    users, impressions, _ = request_names(schema)
    for name in users:
        found[name].count(record[name][0], request[name][0], where)
    for expected, served in _pairs(record[item], request[item]):
        for name in impressions:
            found[name].count(record[name][expected], request[name][served], f"{where}, candidate {served + 1}")
    for history in schema.histories:
        names, length = schema.history_names(history), schema.lengths[history]
        moments, ids = f"{history}_timestamp", f"{history}_{event_item}"
        of_record, of_request = (list(zip(values[moments][:length], values[ids][:length], strict=True))
                                 for values in (record, request))
        pairs = list(_pairs(of_record, of_request))
        for title, events, known in ((MISSING, of_record, {first for first, _ in pairs}),
                                     (EXTRA, of_request, {second for _, second in pairs})):
            difference = found[f"{history}: {title}"]
            for place, event in enumerate(events):
                difference.count(None, None if place in known else event, f"{where}, event {place + 1}")
        for first, second in pairs:
            for name in names:
                if name not in (moments, ids):
                    found[name].count(record[name][first], request[name][second], f"{where}, event {second + 1}")


def _pairs(expected: Sequence[object], served: Sequence[object]) -> Iterator[tuple[int, int]]:
    """Places of equal values, each once, in the order of both."""
    places: dict[object, collections.deque[int]] = collections.defaultdict(collections.deque)
    for place, value in enumerate(expected):
        places[value].append(place)
    for place, value in enumerate(served):
        if places[value]:
            yield places[value].popleft(), place


def _compared_names(schema: FeatureSchema) -> list[str]:
    users, impressions, _ = request_names(schema)
    event_item, names = identifying_feature(schema, schema.item), [*users, *impressions]
    for history in schema.histories:
        names += [f"{history}: {MISSING}", f"{history}: {EXTRA}"]
        names += [name for name in schema.history_names(history)
                  if name not in (f"{history}_timestamp", f"{history}_{event_item}")]
    return names
