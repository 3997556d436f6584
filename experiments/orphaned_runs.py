"""Runs that outlive the command which started them, as when it is killed."""

from __future__ import annotations

import os

import psutil


def wait_for_orphan(workdir: str) -> None:
    """Waits for a process of this working directory that still runs with `--workdir=<workdir>`."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if process.info["cwd"] == os.getcwd() and f"--workdir={workdir}" in (process.info["cmdline"] or ()):
            process.wait()
