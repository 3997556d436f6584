"""Every setting that may change a result, and what the code did before there was a flag for it.

`golden/settings.json` holds them; `make golden` adds new ones, removes those that are gone and refuses one that
changed.
"""

from __future__ import annotations

import json
import pathlib

from experiments import settings

PATH = pathlib.Path(__file__).resolve().parent / "golden" / "settings.json"
ORIGIN = "Collected by tests/golden_settings.py from the configuration classes; an entry never changes."


def stored() -> dict[str, str]:
    """Flag -> text."""
    return json.loads(PATH.read_text(encoding="utf-8"))["before"] if PATH.exists() else {}


def make_golden() -> str:
    """Writes the file; returns what it did.

    Raises:
      ValueError: a setting has another value than the file says.
    """
    golden, now = stored(), settings.before()
    changed = sorted(name for name in golden.keys() & now.keys() if golden[name] != now[name])
    if changed:
        raise ValueError(f"the defaults of {', '.join(changed)} changed: keep the old ones as `before` in their "
                         "metadata")
    PATH.write_text(json.dumps({"origin": ORIGIN, "before": now}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return f"{len(now)} settings, {len(now.keys() - golden.keys())} new, {len(golden.keys() - now.keys())} gone"
