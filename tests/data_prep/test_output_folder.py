"""The output directory appears whole or not at all."""

import pytest

from data_prep.errors import OutputError
from data_prep.output_folder import new_folder


@pytest.mark.parametrize("exists", [False, True])
def test_the_folder_takes_its_name_at_the_end(tmp_path, exists):
    target = tmp_path / "parent" / "data"
    if exists:
        target.mkdir(parents=True)
    with new_folder(f"{target}/") as folder:
        with open(f"{folder}/file", "w", encoding="utf-8") as file:
            file.write("text")
        assert not (target / "file").exists()
    assert (target / "file").read_text() == "text"
    assert [path.name for path in target.parent.iterdir()] == ["data"]
    assert target.stat().st_mode & 0o700 == 0o700 and target.stat().st_mode == target.parent.stat().st_mode


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), new_folder(str(tmp_path / "data")):
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_file", [False, True])
def test_contents_are_never_replaced(tmp_path, is_file):
    path = tmp_path / "data" if is_file else tmp_path / "data" / "mine"
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(OutputError, match="data exists already"), new_folder(str(tmp_path / "data")):
        pass
    assert path.read_text() == "mine"


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file/data cannot be written"), new_folder(str(tmp_path / "file" / "data")):
        pass
