"""What stands beside a result tells whether the code behind it has changed."""

import subprocess

from experiments import provenance


def test_results_do_not_make_a_checkout_dirty_and_code_does(tmp_path):
    assert provenance._commit(tmp_path) is None
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    results = tmp_path / "experiments" / "results"
    results.mkdir(parents=True)
    for path in (code := tmp_path / "code.py", table := results / "results.jsonl"):
        path.write_text("before\n")
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=all"]):
        subprocess.run([*git, *command], check=True)
    table.write_text("after\n")
    commit = provenance._commit(tmp_path)
    assert len(commit) == 40
    code.write_text("after\n")
    assert provenance._commit(tmp_path) == f"{commit}-dirty"
