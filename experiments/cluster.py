"""Writes the TF_CONFIG of every process of a cluster: a small shell file each, to be sourced before `experiments.run`.

    python -m experiments.cluster --workers=a,b,c,d --output_dir=cluster                            # multi_worker
    python -m experiments.cluster --chief=a --workers=b,c --ps=d,e --output_dir=cluster             # parameter_server
    . cluster/worker-0.sh; python -m experiments.run --strategy.name=multi_worker ...               # on host a

Hosts are names or addresses, with a port or without; a host that is named twice gets the next port.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence

from lcn_tf.training import cluster
from lcn_tf.whole_files import write_text


def addresses(jobs: Mapping[str, Sequence[str]], port: int) -> dict[str, list[str]]:
    """Job -> `host:port` of each of its hosts, where hosts without a port get the first free one from `port` on.

    Raises:
      ValueError: an address is given twice.
    """
    given = [host for hosts in jobs.values() for host in hosts if ":" in host]
    if twice := {host for host in given if given.count(host) > 1}:
        raise ValueError(f"{min(twice)} is given to more than one process")
    taken = set(given)

    def free(host: str) -> str:
        number = port
        while f"{host}:{number}" in taken:
            number += 1
        taken.add(f"{host}:{number}")
        return f"{host}:{number}"

    return {job: [host if ":" in host else free(host) for host in hosts] for job, hosts in jobs.items() if hosts}


def write_files(jobs: Mapping[str, Sequence[str]], output_dir: str) -> list[tuple[str, str]]:
    """Writes `<job>-<index>.sh` for every process; returns pairs of address and path."""
    os.makedirs(output_dir, exist_ok=True)
    written = []
    for task in cluster.tasks(jobs):
        path = os.path.join(output_dir, f"{task.job}-{task.index}.sh")
        write_text(path, f"export {cluster.VARIABLE}={shlex.quote(task.to_json())}\n")
        written.append((task.cluster[task.job][task.index], path))
    return written


def main() -> None:
    """Writes the files and prints what to start where."""
    parser = argparse.ArgumentParser(prog="python -m experiments.cluster", description=__doc__.splitlines()[0])
    parser.add_argument("--workers", required=True, help="hosts that train, comma separated")
    parser.add_argument("--chief", help="host of the coordinator; parameter_server only")
    parser.add_argument("--ps", help="hosts of the parameter servers, comma separated; parameter_server only")
    parser.add_argument("--port", type=int, default=2222, help="port of hosts without one (default 2222)")
    parser.add_argument("--output_dir", default="cluster", help="gets the files (default cluster)")
    options = parser.parse_args()
    if bool(options.chief) != bool(options.ps):
        parser.error("parameter servers need --chief and --ps, multi_worker neither")
    jobs = {"chief": options.chief, "worker": options.workers, "ps": options.ps}
    try:
        found = addresses({job: [host.strip() for host in (hosts or "").split(",") if host.strip()]
                           for job, hosts in jobs.items()}, options.port)
        written = write_files(found, options.output_dir)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    name = "parameter_server" if options.ps else "multi_worker"
    print(f"Start on each host, in any order, with the same flags:   . FILE; python -m experiments.run "
          f"--strategy.name={name} ...")
    for address, path in written:
        print(f"{address:<24} {path}")


if __name__ == "__main__":
    main()
