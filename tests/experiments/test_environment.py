"""What stands beside a result tells whether the code behind it has changed."""

import pathlib

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
