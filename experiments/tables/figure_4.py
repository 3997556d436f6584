"""Figure 4: item embeddings with and without CRP, as a picture of t-SNE and by measures that a picture is not.

`figure_4.npz` holds what is drawn and measured of every run, so that the figure can be made where its models are not.
"""

from __future__ import annotations

import dataclasses
import math
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np

matplotlib.use("agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from experiments import finished_run, item_geometry
from experiments.tables import folder_lock, report
from experiments.tables.comparison import Spread
from experiments.tables.plan import Planned
from experiments.tables.rows import Table
from lcn_tf.whole_files import replacing, write_text

_MEASURES = (("target", "purity"), ("source", "purity"), ("target", "silhouette"), ("source", "silhouette"))
_FILE = "figure_4.npz"


@dataclasses.dataclass(frozen=True, eq=False)
class Geometry:
    """What the figure shows of a run.

    Attributes:
      measures: float64 `[5]`: those of `_MEASURES`, then the AUC of pairs across the domains.
      points: float32 `[N, 2]`, items of both domains.
      category, domain: int64 `[N]`.
    """

    measures: np.ndarray
    points: np.ndarray
    category: np.ndarray
    domain: np.ndarray


def measure(workdir: str) -> Geometry:
    """Looks at the item table of a finished run. Raises what `finished_run.load` does."""
    _, files, model = finished_run.load(workdir, finished_run.read_flags(workdir))
    schema = files.schema
    name, _ = item_geometry.identity_and_category(schema)
    table = next(feature.table for feature in schema.item if feature.name == name)
    vectors = model.embedder.tables.vectors[table].numpy()

    def of(ids: np.ndarray, domain: np.ndarray) -> np.ndarray:
        return vectors[model.embedder.rows_in(table, ids, domain)]

    items, pairs = item_geometry.frequent_items(files.catalogue(), schema), item_geometry.held_out_pairs(files)
    found, source = of(items.id, items.domain), schema.domains.index(schema.source)
    measures = []
    for domain, kind in _MEASURES:
        chosen = items.domain == (source if domain == "source" else 0)
        compute = item_geometry.neighbour_purity if kind == "purity" else item_geometry.silhouette
        measures.append(compute(found[chosen], items.category[chosen]))
    measures.append(item_geometry.pair_auc(pairs, of(pairs.target, np.zeros_like(pairs.target)),
                                           of(pairs.source, np.full_like(pairs.source, source))))
    return Geometry(np.array(measures), item_geometry.plane(found), items.category, items.domain)


class Geometries:
    """Those of a results folder, by configuration, data and seed.

    Raises:
      ValueError: a damaged file; the message names it.
    """

    def __init__(self, folder: str):
        self._folder, self._path = folder, os.path.join(folder, _FILE)
        self._arrays = self._read()

    def _read(self) -> dict[str, np.ndarray]:
        if not os.path.exists(self._path):
            return {}
        try:
            with open(self._path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{self._path}: not what Figure 4 keeps of its runs: {error}; remove it to look at the "
                             "runs again") from error

    def find(self, planned: Planned, seed: int) -> Geometry | None:
        """What is known of a run."""
        name = _name(planned, seed)
        if f"{name} measures" not in self._arrays:
            return None
        return Geometry(*(self._arrays[f"{name} {field.name}"] for field in dataclasses.fields(Geometry)))

    def add(self, planned: Planned, seed: int, geometry: Geometry) -> None:
        """Keeps what is known of a run."""
        added = {f"{_name(planned, seed)} {field.name}": getattr(geometry, field.name)
                 for field in dataclasses.fields(Geometry)}
        with folder_lock.held(self._folder):
            self._arrays = {**self._read(), **added}
            with replacing(self._path, "wb") as file:
                np.savez_compressed(file, **{name: self._arrays[name] for name in sorted(self._arrays)})


def _name(planned: Planned, seed: int) -> str:
    return f"{planned.key.configuration} {planned.key.data_fingerprint[:16]} {seed}"


def write(folder: str, table: Table, found: Mapping[str, Mapping[int, Geometry]], command: str) -> str:
    """Writes `figure_4.png`, of the first seed, `.md` and `.csv`; returns the Markdown.

    Args:
      folder: gets the files.
      table: the rows.
      found: row -> seed -> what is known of the run.
      command: that makes them.
    """
    names = [*(f"{kind}, {domain}" for domain, kind in _MEASURES), "AUC of pairs across the domains"]
    rows, records = [], []
    for name, runs in found.items():
        spreads = [_spread([geometry.measures[place] for geometry in runs.values()]) for place in range(len(names))]
        rows.append([name, *(report.spread_text(spread, 3) for spread in spreads), str(len(runs))])
        records.append({"row": name, **{key: spread.mean for key, spread in zip(names, spreads, strict=True)},
                        **{f"{key} std": spread.std for key, spread in zip(names, spreads, strict=True)},
                        "seeds": len(runs)})
    text = "\n".join([f"# {table.title}", "", "```sh", command, "```", "", f"![Figure 4]({table.key}.png)", "",
                      *report.markdown_table(["", *names, "seeds"], rows), "",
                      "purity: how many of an item's 10 nearest items of its domain are of its category, over how many",
                      "can be. Pairs: a clicked item of the test days with events of its user, against events of",
                      "others; 0.5 is chance. Items are those of the 20 most frequent categories of each domain, up to",
                      "100 of each; vectors are those of the ids alone, without the category's. The picture is of the",
                      "first seed.", ""])
    write_text(os.path.join(folder, f"{table.key}.md"), text)
    write_text(os.path.join(folder, f"{table.key}.csv"), report.csv_text(records))
    figure, axes = pyplot.subplots(len(found), 3, figsize=(15, 5 * len(found)), layout="constrained", squeeze=False)
    for row, (name, runs) in zip(axes, found.items(), strict=True):
        if runs:
            _draw(row, name, runs[min(runs)])
    figure.savefig(os.path.join(folder, f"{table.key}.png"), dpi=80)
    pyplot.close(figure)
    return text


def _spread(values: Sequence[float]) -> Spread:
    return Spread.of([None if math.isnan(value) else float(value) for value in values])


def _draw(axes: Sequence[Axes], name: str, geometry: Geometry) -> None:
    """Both domains by domain, then each by category."""
    for domain, label in enumerate(("target", "source")):
        x, y = geometry.points[geometry.domain == domain].T
        axes[0].scatter(x, y, s=4, label=label)
        categories = np.unique(geometry.category[geometry.domain == domain], return_inverse=True)[1]
        axes[1 + domain].scatter(x, y, s=4, c=categories, cmap="tab20")
        axes[1 + domain].set(title=f"{name}: {label} domain, by category", xticks=[], yticks=[])
    axes[0].set(title=f"{name}: both domains", xticks=[], yticks=[])
    axes[0].legend()
