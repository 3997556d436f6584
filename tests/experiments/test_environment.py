"""What stands beside a result tells whether the code behind it has changed."""

import pathlib
import subprocess

import lcn_tf
from experiments import environment

CODE = '''"""A module."""

def double(x):
    """Twice x."""
    return 2 * x  # as it says
'''


def digest(folder, name, code):
    path = folder / name / "part" / "module.py"
    path.parent.mkdir(parents=True)
    path.write_text(code)
    return environment.code_digest(folder / name)


def test_statements_count_and_words_do_not(tmp_path):
    before = digest(tmp_path, "before", CODE)
    assert digest(tmp_path, "words", CODE.replace("Twice", "Two times").replace("# as it says", "")) == before
    assert digest(tmp_path, "factor", CODE.replace("2 *", "3 *")) != before
    assert digest(tmp_path, "name", CODE.replace("double", "twice")) != before


def test_the_code_is_that_of_the_package():
    described = environment.describe()
    assert described["code"] == environment.code_digest(pathlib.Path(lcn_tf.__file__).parent)


def test_results_do_not_make_a_checkout_dirty_and_code_does(tmp_path):
    assert environment._commit(tmp_path) is None
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    results = tmp_path / "experiments" / "results"
    results.mkdir(parents=True)
    for path in (code := tmp_path / "code.py", table := results / "results.jsonl"):
        path.write_text("before\n")
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=all"]):
        subprocess.run([*git, *command], check=True)
    table.write_text("after\n")
    commit = environment._commit(tmp_path)
    assert len(commit) == 40
    code.write_text("after\n")
    assert environment._commit(tmp_path) == f"{commit}-dirty"
