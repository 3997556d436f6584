"""Benchmarks share a process without defining a flag twice."""

import pkgutil
import subprocess
import sys

from experiments import benchmarks


def test_all_benchmarks_can_be_imported_together():
    names = [f"experiments.benchmarks.{module.name}" for module in pkgutil.iter_modules(benchmarks.__path__)]
    assert "experiments.benchmarks.input_pipeline" in names
    done = subprocess.run([sys.executable, "-c", f"import {', '.join(names)}"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
