"""The files of a cluster, as a shell reads them."""

import json
import subprocess
import sys

import pytest

from experiments.cluster import addresses


def written(folder, *arguments):
    done = subprocess.run([sys.executable, "-m", "experiments.cluster", *arguments, f"--output_dir={folder}"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    values = {}
    for path in sorted(folder.iterdir()):
        shown = subprocess.run(["sh", "-c", f'. "{path}"; printf %s "$TF_CONFIG"'], capture_output=True, text=True,
                               check=True)
        values[path.name] = json.loads(shown.stdout)
        assert str(path) in done.stdout
    return values


def test_parameter_servers(tmp_path):
    found = written(tmp_path, "--chief=a", "--workers=b, c", "--ps=d,e:7")
    cluster = {"chief": ["a:2222"], "worker": ["b:2222", "c:2222"], "ps": ["d:2222", "e:7"]}
    assert set(found) == {"chief-0.sh", "worker-0.sh", "worker-1.sh", "ps-0.sh", "ps-1.sh"}
    assert found["ps-1.sh"] == {"cluster": cluster, "task": {"type": "ps", "index": 1}}


def test_processes_of_one_host_get_ports_of_their_own():
    assert addresses({"worker": ["a", "a:5", "b", "a"], "ps": ["a"]}, 5) == {
        "worker": ["a:6", "a:5", "b:5", "a:7"], "ps": ["a:8"]}
    with pytest.raises(ValueError, match="a:5 is given to more than one process"):
        addresses({"worker": ["a:5"], "ps": ["a:5"]}, 5)
