"""An arm that is an exported model, asked as a server is: by its signature alone, with ids of its own vocabularies.

Shape letters: n requests, C candidates, L events.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from experiments.ab_test.simulation import histories
from experiments.ab_test.simulation.exported_ids import ExportedIds
from experiments.ab_test.simulation.histories import History
from experiments.ab_test.simulation.past import Clicks, Past
from experiments.ab_test.simulation.site import Site
from lcn_tf.models.requests import request_names
from lcn_tf.schema import OOV_ID, UNCLICKED, FeatureSchema
from lcn_tf.serving.signatures import PROBABILITY, SERVING_DEFAULT
from lcn_tf.serving.verify import VERIFICATION_PATH

REQUESTS_PER_CALL = 32
_WARM_UP = 3  # calls of each model before one counts


class SavedModelArm:
    """Ranks by the probability that an export gives.

    Attributes:
      path: of the version.
      ids: that the export gives to the values of the site.
      turn_by_turn: always, as histories grow by what was shown before on the day.
      depends_on_others: whether the model goes on to be trained on what users do in the test.

    Raises:
      ValueError: an export that asks for what the site does not have, or that was not made of the site's logs.
      OSError: a folder that is no export.
    """

    turn_by_turn = True

    def __init__(self, path: str, site: Site, depends_on_others: bool = False):
        if not os.path.exists(os.path.join(path, VERIFICATION_PATH)):
            raise ValueError(f"{path}: not an exported version (no {VERIFICATION_PATH})")
        self.path, self.depends_on_others, self._site = path, depends_on_others, site
        self._schema = FeatureSchema.load(os.path.join(path, "assets.extra"))
        if UNCLICKED in self._schema.histories:
            raise ValueError(f"{path}: it asks for {UNCLICKED}, which is not simulated")
        if "user_id" not in [feature.name for feature in self._schema.user]:
            raise ValueError(f"{path}: its schema has no user feature user_id, so that it cannot be told whose its "
                             "recorded requests are")
        self.ids = ExportedIds(path, self._schema, site)
        self._recorded = _recorded(path)
        self._skip = self._skipped_by_lifelong()
        self._model = tf.saved_model.load(path)
        self._function = self._model.signatures[SERVING_DEFAULT]

    def scores(self, past: Past, rows: np.ndarray) -> np.ndarray:
        """See `arms.Arm`."""
        clicks = past.clicks()
        return np.concatenate([self.ask(self._inputs(clicks, rows[first:first + REQUESTS_PER_CALL]))
                               for first in range(0, len(rows), REQUESTS_PER_CALL)])

    def inputs(self, past: Past, rows: np.ndarray) -> dict[str, np.ndarray]:
        """What the signature is given for requests `[n]`: int64 by name, see `lcn_tf.serving.signatures`."""
        return self._inputs(past.clicks(), rows)

    def _inputs(self, clicks: Clicks, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The same, of what a population has clicked."""
        requests, schema = self._site.requests, self._schema
        found = self._of_candidates(rows, requests.room[rows])
        users = requests.user[rows]
        found |= {feature.name: self.ids.user[feature.name][users] for feature in schema.user}
        for name, spec in schema.histories.items():
            if spec.domain == schema.source:
                skip = self._skip if spec.kind == "lifelong" else 0
                history = histories.watched(self._site, rows, spec.length, skip)
            else:
                history = histories.entered(self._site, clicks, rows, spec.length)
            found |= self._of_events(name, history)
        return found

    def check(self, past: Past) -> None:
        """Compares the requests that the export was verified with with the same requests of the site.

        Args:
          past: of the days before the test, served.

        Raises:
          ValueError: one that differs, or none of them is the site's: the model is of other logs.
        """
        recorded, requests = self._recorded, self._site.requests
        row_of = {(user, timestamp): row for row, (user, timestamp) in enumerate(
            zip(self.ids.user["user_id"][requests.user].tolist(), requests.timestamp.tolist(), strict=True))}
        compared = 0
        for place in range(len(recorded["timestamp"])):
            user, timestamp = recorded["user_id"][place], recorded["timestamp"][place, 0]
            row = None if user == OOV_ID else row_of.get((user, timestamp))  # of unknown users there are several
            if row is None or past.places[row, 0] < 0:
                continue
            rows = np.array([row])
            expected = {**self.inputs(past, rows), **self._of_candidates(
                rows, requests.room[row][past.places[row]][np.newaxis])}
            for name in (name for names in request_names(self._schema) for name in names):
                if not np.array_equal(_unpadded(expected[name][0]), _unpadded(recorded[name][place])):
                    raise ValueError(f"{self.path}: its recorded request {place} has other values of {name} than the "
                                     "simulated site: it was trained on other logs, or prepared with settings "
                                     "that are not simulated")
            compared += 1
        if not compared:
            raise ValueError(f"{self.path}: none of its {len(recorded['timestamp'])} recorded requests is one of the "
                             "simulated site: train the model on the test's own logs")

    def ask(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """`[n, C]` probabilities for inputs."""
        answer: Any = self._function(**{name: tf.constant(values) for name, values in inputs.items()})
        return answer[PROBABILITY].numpy()

    def _of_candidates(self, rows: np.ndarray, room: np.ndarray) -> dict[str, np.ndarray]:
        """Names of shape `[n, C]` for the rooms `[n, C]` of requests `[n]`."""
        requests, schema = self._site.requests, self._schema
        found = {feature.name: self.ids.room[feature.name][room] for feature in (*schema.item, *schema.candidate)}
        of_requests = {"timestamp": requests.timestamp[rows]}
        if self.ids.page is not None:
            of_requests["page"] = self.ids.page[requests.in_feed[rows].astype(np.int64)]
        if self.ids.scenario is not None:
            of_requests["scenario"] = self.ids.scenario[requests.scenario[rows]]
        return found | {name: np.repeat(values[:, np.newaxis], room.shape[1], 1)
                        for name, values in of_requests.items()}

    def _of_events(self, name: str, history: History) -> dict[str, np.ndarray]:
        features = (*self._schema.item, *self._schema.stored_context(name))
        return {f"{name}_timestamp": history.timestamp, **{
            f"{name}_{feature.name}": self.ids.of_events(feature.name, history) for feature in features}}

    def _skipped_by_lifelong(self) -> int:
        """How many of the latest source events the lifelong history leaves out, as the recorded requests show."""
        lifelong, short = self._schema.lifelong, self._schema.short_of(self._schema.source)
        first, other = (self._recorded[f"{name}_timestamp"] for name in (lifelong, short))
        full = other[:, -1] > 0 if other.shape[1] == self._schema.lengths[short] else np.zeros(len(other), bool)
        overlaps = (first[full, 0] == other[full, 0]).all() if full.any() else (first[:, 0] == other[:, 0]).all()
        return 0 if overlaps else self._schema.lengths[short]


def time_in_turns(models: Mapping[str, tuple[SavedModelArm, Past]], rows: np.ndarray) -> dict[str, list[float]]:
    """Milliseconds of a call for each of some requests alone, from its inputs to its probabilities, by arm.

    Models take turns, and who begins does, too, so that what else the machine does is shared by all.

    Args:
      models: arm -> its model, and what is known before the requests.
      rows: of the requests.
    """
    found: dict[str, list[float]] = {name: [] for name in models}
    for turn, row in enumerate([*rows[:_WARM_UP], *rows]):
        order = list(models) if turn % 2 else list(models)[::-1]
        for name in order:
            model, past = models[name]
            inputs = model.inputs(past, np.array([row]))
            started = time.perf_counter()
            model.ask(inputs)
            found[name].append(1e3 * (time.perf_counter() - started))
    return {name: times[min(_WARM_UP, len(rows)):] for name, times in found.items()}


def _recorded(path: str) -> dict[str, np.ndarray]:
    """The requests that an export was verified with."""
    with np.load(os.path.join(path, VERIFICATION_PATH)) as arrays:
        return {name.removeprefix("request/"): arrays[name] for name in arrays.files if name.startswith("request/")}


def _unpadded(values: np.ndarray) -> np.ndarray:
    """Values of one request without what stands behind the last that is not 0."""
    values = np.atleast_1d(values)
    return values[:1 + np.flatnonzero(values).max(initial=-1)]
