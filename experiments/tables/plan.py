"""From a table's rows to runs: the flags of each, and the key under which its results are kept."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterable, Sequence

from experiments import flags, prepared_data
from experiments.settings import Configuration
from experiments.tables.rows import Row
from experiments.tables.store import Key
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.models import registry

CONSISTENCY_ROWS = 1000  # of a split; one for all runs, so that Figure 5 can use any of them


@dataclasses.dataclass(frozen=True)
class Planned:
    """A row on a data set.

    Attributes:
      row: of the table.
      arguments: flags of `experiments.run`, without seed and work folder.
      configuration: what its numbers depend on beside data and seed.
      data_fingerprint: of its records.
      data_dir: their folder.
    """

    row: Row
    arguments: tuple[str, ...]
    configuration: Configuration
    data_fingerprint: str
    data_dir: str = ""

    @property
    def key(self) -> Key:
        """Under which its results are kept."""
        return Key(self.configuration.id, self.data_fingerprint)


def plan(rows: Iterable[Row], common: Sequence[str]) -> list[Planned]:
    """Reads each row's flags and prepares the data that is missing.

    Args:
      rows: of a table.
      common: flags of all runs: the data set and what goes with it.

    Raises:
      absl.flags.Error, ValueError, FileNotFoundError: flags or records that cannot be used, or flags that make two rows
        the same.
      data_prep.errors.InputError: raw files that cannot be used.
    """
    opened: dict[str, RecordFiles] = {}
    with_catalogue: set[str] = set()
    planned: list[Planned] = []
    for row in rows:
        arguments = (f"--flagfile={row.cfg}", f"--eval.consistency_rows={CONSISTENCY_ROWS}", *common, *row.flags)
        experiment = _read(arguments)
        settings = _data_settings(experiment)
        reads_catalogue = registry.reads_catalogue(experiment.groups["model"], experiment.components)
        if settings not in opened:
            with contextlib.redirect_stdout(io.StringIO()):
                data_dir = prepared_data.find_or_prepare(experiment).data_dir
            opened[settings] = RecordFiles.open(data_dir)
        files = opened[settings]
        if reads_catalogue and settings not in with_catalogue:
            files.catalogue()  # now: older folders have none, and runs take long
            with_catalogue.add(settings)
        new = Planned(row, arguments, Configuration.of(experiment), files.fingerprint, files.data_dir)
        same = [other.row.name for other in planned if other.key == new.key]
        if same:
            raise ValueError(f"rows {same[0]!r} and {row.name!r} are the same with {' '.join(common)}")
        planned.append(new)
    return planned


def _read(arguments: Sequence[str]) -> flags.Experiment:
    unexpected = flags.parse(["experiments.run", *arguments])[1:]
    if unexpected:
        raise ValueError(f"expected flags of experiments.run, like --train.epochs=2, got {' '.join(unexpected)}")
    experiment = flags.read()
    rows = experiment.groups["eval"].consistency_rows
    if rows != CONSISTENCY_ROWS:
        raise ValueError(f"--eval.consistency_rows must be {CONSISTENCY_ROWS} for all tables, got {rows}")
    return experiment


def _data_settings(experiment: flags.Experiment) -> str:
    """What the prepared data depends on, as text."""
    run, groups = experiment.run, experiment.groups
    names = [run.dataset, "prep", f"{run.dataset}_generator"]
    lengths = groups["data"].short_length, groups["data"].lifelong_length
    return repr([run.input_dir, run.data_dir, lengths, [groups.get(name) for name in names]])
