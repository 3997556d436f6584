"""The settings that a test's folder holds: noted by its first command, and the same for those that go on."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence

from experiments import workdir_lock
from experiments.ab_test.settings import ABTestConfig, fingerprint
from experiments.ab_test.simulation.config import WorldConfig
from lcn_tf.training import results
from lcn_tf.whole_files import write_text

NAME = "settings.json"


def settle(config: ABTestConfig, world: WorldConfig, flags: Sequence[str]) -> None:
    """Notes the settings of a new test; those of a command that goes on must be the same.

    A folder that holds nothing but settings takes others.

    Args:
      config: of the test.
      world: its users, requests and pages.
      flags: of all models that are trained here.

    Raises:
      ValueError: another test is in the folder, or an arm's export, flag file or flag is none; nothing is written then.
      FileNotFoundError: a flag file is not there.
    """
    settings = {**dataclasses.asdict(world), **dataclasses.asdict(config), "flags": list(flags),
                **_contents(config, flags)}
    del settings["output_dir"]
    path, text = os.path.join(config.output_dir, NAME), json.dumps(settings, indent=1) + "\n"
    before, now = results.read_json(path, dict), json.loads(text)
    if before is None or set(os.listdir(config.output_dir)) <= {NAME, workdir_lock.LOCK}:
        write_text(path, text)
        return
    changed = [f"{name}: {before.get(name)} -> {now.get(name)}" for name in sorted({*before, *now})
               if before.get(name) != now.get(name)]
    if changed:
        raise ValueError(f"{config.output_dir} holds a test with other settings ({'; '.join(changed)}); choose another "
                         "--output_dir")


def _contents(config: ABTestConfig, flags: Sequence[str]) -> dict[str, str]:
    """What the exports and flag files hold, in short."""
    found = {f"content of {path}": fingerprint(path) for path in config.exports.values()}
    if config.trained:
        from experiments.ab_test.simulation import arm_flags  # knows all parts of models: only where some are trained

        found |= {f"content of {cfg}": arm_flags.digest(cfg, flags, config.nightly) for cfg in config.trained.values()}
    return found


def shares_of(folder: str) -> dict[str, float] | None:
    """Arm -> share of the users of the test that a folder holds; None where its settings are not there.

    Raises:
      ValueError: settings that are none of a test; the message names the file.
    """
    path = os.path.join(folder, NAME)
    try:
        found = results.read_json(path, {"arms": [str], "shares": [float]})
        if found is None:
            return None
        return ABTestConfig(arms=tuple(found["arms"]), shares=tuple(found["shares"]), output_dir=folder).share_of
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: expected the settings of a test, got others ({error})") from error
