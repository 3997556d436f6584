"""From a table's rows to runs: the flags of each, and the key under which its results are kept."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterable, Sequence

from experiments import environment, flags, inputs
from experiments.tables.rows import Row
from experiments.tables.store import Key
from lcn_tf.training import results

CONSISTENCY_ROWS = 1000  # of a split; one for all runs, so that Figure 5 can use any of them


@dataclasses.dataclass(frozen=True)
class Planned:
    """A row on a data set.

    Attributes:
      row: of the table.
      arguments: flags of `experiments.run`, without seed and work folder.
      key: under which its results are kept.
    """

    row: Row
    arguments: tuple[str, ...]
    key: Key


def plan(rows: Iterable[Row], common: Sequence[str], any_code: bool = False) -> list[Planned]:
    """Reads each row's flags and prepares the data that is missing.

    Args:
      rows: of a table.
      common: flags of all runs: the data set and what goes with it.
      any_code: whether results of other versions of `lcn_tf` count.

    Raises:
      absl.flags.Error, ValueError, FileNotFoundError: flags that cannot be used, that make two rows the same, or that
        name records without a fingerprint, whose results could not be told from those of other records.
      data_prep.errors.InputError: raw files that cannot be used.
    """
    code = None if any_code else environment.code_digest()
    fingerprints: dict[str, str] = {}
    planned: list[Planned] = []
    for row in rows:
        arguments = (f"--flagfile={row.cfg}", f"--eval.consistency_rows={CONSISTENCY_ROWS}", *common, *row.flags)
        experiment = _read(arguments)
        settings = _data_settings(experiment)
        if settings not in fingerprints:
            with contextlib.redirect_stdout(io.StringIO()):
                facts = inputs.prepared_data(experiment).facts
            if "fingerprint" not in facts:
                raise ValueError(f"{experiment.run.data_dir} has no preparation.json with a fingerprint: results on it "
                                 "could not be told from those on other records")
            fingerprints[settings] = facts["fingerprint"]
        key = Key(results.config_hash(experiment.settings()), fingerprints[settings], code)
        same = [other.row.name for other in planned if other.key == key]
        if same:
            raise ValueError(f"rows {same[0]!r} and {row.name!r} are the same with {' '.join(common)}")
        planned.append(Planned(row, arguments, key))
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
    return repr([run.input_dir, run.data_dir, groups["data"].lengths, [groups.get(name) for name in names]])
