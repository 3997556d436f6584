"""Raw values of a simulated site -> the ids that an export gives them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import numpy as np

from data_prep.industrial.config import AUTHOR, PROFILE_FIELDS, SCENARIO, WATCH_BOUNDARIES
from data_prep.industrial.planted_process import NOT_A_VIDEO
from data_prep.industrial.reader import MISSING
from experiments.ab_test.simulation.histories import History
from experiments.ab_test.simulation.site import Site
from lcn_tf.data.prepared_folder import VOCABULARIES
from lcn_tf.schema import FIRST_ID, OOV_ID, Feature, FeatureSchema

_PAGES = ("live", "feed")  # by whether a page is in the feed


class ExportedIds:
    """The ids of a site's values, by feature.

    Attributes:
      user: feature -> `[U]`.
      room: feature -> `[rooms]`, of item and candidate features.
      page: `[2]` by whether a page is in the feed; None where requests have no such feature.
      scenario: by place; None likewise.

    Raises:
      ValueError: an export without vocabularies, or of a feature that the site does not have; the message names it.
    """

    def __init__(self, path: str, schema: FeatureSchema, site: Site):
        self._folder = os.path.join(path, "assets.extra", VOCABULARIES)
        self._path = path
        if not os.path.isdir(self._folder):
            raise ValueError(f"{path}: it has no vocabularies ({self._folder}), so its ids cannot be known")
        world = site.world
        users = {"user_id": np.arange(1, site.config.users + 1), **{
            name: np.where(site.profiles[name] == "", str(MISSING), site.profiles[name]) for name in PROFILE_FIELDS}}
        rooms = {AUTHOR: world.room_author, "category": world.room_category, "room_id": world.room}
        scenarios = [law.name for law in world.process.scenarios]
        requests = {"page": _PAGES, **({SCENARIO: scenarios} if scenarios else {})}
        self.user = self._of("user", schema.user, users)
        self.room = self._of("item or candidate", (*schema.item, *schema.candidate), rooms)
        found = self._of("request", schema.request, requests)
        self.page, self.scenario = found.get("page"), found.get(SCENARIO)
        item = {AUTHOR: np.arange(1 + world.author.max()),
                "category": np.arange(1 + max(world.video_category.max(), world.live_category.max()))}
        # What the cell of a room says is missing: its place is the last.
        context = {"watch": np.arange(1 + len(WATCH_BOUNDARIES)), "finished": np.array([0, 1, MISSING])}
        self._item = self._of("item", schema.item, item)
        self._context = self._of("context", schema.context, context)

    def of_events(self, feature: str, history: History) -> np.ndarray:
        """`[n, L]` ids of a feature of events; 0 where there is no event."""
        values = {AUTHOR: history.author, "category": history.category, "finished": history.finished}
        if feature == "watch":
            reached = np.searchsorted(WATCH_BOUNDARIES, history.watch_seconds, side="right")
            found = self._context[feature][reached]
        elif feature == "finished":
            found = self._context[feature][np.where(history.finished == NOT_A_VIDEO, 2, history.finished)]
        else:
            found = self._item[feature][values[feature]]
        return np.where(history.timestamp > 0, found, 0)

    def _of(self, role: str, features: Iterable[Feature], known: Mapping[str, Iterable[object]]
            ) -> dict[str, np.ndarray]:
        """Feature -> id of each of its known values."""
        found = {}
        for feature in features:
            if feature.name not in known:
                raise ValueError(f"{self._path}: its {role} feature {feature.name!r} is none of a simulated site, "
                                 f"which has {', '.join(known)}")
            ids = self._read(feature.table)
            found[feature.name] = np.array([ids.get(str(value), OOV_ID) for value in known[feature.name]], np.int64)
        return found

    def _read(self, table: str) -> dict[str, int]:
        path = os.path.join(self._folder, f"{table}.txt")
        if not os.path.exists(path):
            raise ValueError(f"{self._path}: it has no vocabulary of the table {table!r} ({path})")
        with open(path, encoding="utf-8") as file:
            return {value: FIRST_ID + line for line, value in enumerate(file.read().split("\n")) if value}
