"""The output directory appears whole or not at all, and its making goes on where it stopped."""

import os
import pathlib

import pytest

from data_prep.errors import InputError, OutputError
from data_prep.writing.output_folder import new_folder

REQUEST = {"settings": {"length": 3}, "inputs": [("a.csv", 7)]}


def write(folder, text="text"):
    (pathlib.Path(folder) / "file").write_text(text)


@pytest.mark.parametrize("exists", ["nothing", "empty folder", "link"])
def test_the_folder_takes_its_name_at_the_end(tmp_path, exists):
    target = tmp_path / "parent" / "data"
    if exists == "empty folder":
        target.mkdir(parents=True)
    elif exists == "link":
        (tmp_path / "disk").mkdir()
        target.parent.mkdir()
        target.symlink_to(tmp_path / "disk")
    with new_folder(f"{target}/", REQUEST) as partial:
        write(partial.records)
        write(partial.new("scratch"))
        assert not (target / "file").exists()
    assert [path.name for path in target.iterdir()] == ["file"] and (target / "file").read_text() == "text"
    assert not [path for path in tmp_path.rglob("*") if "partial" in path.name]
    assert target.stat().st_mode == target.parent.stat().st_mode


def attempt(target, request=REQUEST, error=RuntimeError):
    """Writes a file, then fails; returns what it found in the folder."""
    found = []
    with pytest.raises(error, match="stop"), new_folder(str(target), request) as partial:
        found += os.listdir(partial.records)
        write(partial.records)
        found.append(partial.once("facts", lambda: {"made": len(found)}))
        raise error("stop")
    return found


def test_another_attempt_goes_on_and_other_requests_start_anew(tmp_path):
    target = tmp_path / "data"
    assert attempt(target) == [{"made": 0}]
    assert attempt(target) == ["file", {"made": 0}]
    assert attempt(target, REQUEST | {"inputs": [("a.csv", 8)]}) == [{"made": 0}]
    assert not target.exists()
    with new_folder(str(target), REQUEST | {"inputs": [("a.csv", 8)]}) as partial:
        assert os.listdir(partial.records) == ["file"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_refused_input_leaves_nothing(tmp_path):
    attempt(tmp_path / "data", error=InputError)
    assert list(tmp_path.iterdir()) == []


def test_other_errors_say_where_the_work_is_kept(tmp_path):
    kept = r" \(what is done so far is kept in \S+/.data.partial: the same command goes on from there\)$"
    with (pytest.raises(OutputError, match=f"^out of memory{kept}"), new_folder(str(tmp_path / "data"), REQUEST)):
        raise OutputError("out of memory")
    with (pytest.raises(OutputError, match=r"^output_dir \S+/data cannot be written: \[Errno 28\] No space" + kept),
          new_folder(str(tmp_path / "data"), REQUEST)):
        raise OSError(28, "No space")


def test_a_directory_that_exists_stays_the_same_one(tmp_path, monkeypatch):
    target = tmp_path / "data"
    target.mkdir(mode=0o750)
    before = target.stat()
    monkeypatch.chdir(target)
    with new_folder(".", REQUEST) as partial:
        write(partial.records)
    assert os.listdir(".") == ["file"] and os.listdir(tmp_path) == ["data"]
    assert (target.stat().st_ino, target.stat().st_mode) == (before.st_ino, before.st_mode)


def test_a_kill_while_the_records_are_moved(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()

    def make():
        with new_folder(str(tmp_path / "data"), REQUEST) as partial:
            def work():
                for name in ("a", "schema.json", "z"):
                    (pathlib.Path(partial.records) / name).write_text(name)
                return {}

            partial.once("facts", work)
            (pathlib.Path(partial.records) / "vocabularies").mkdir(exist_ok=True)  # made in each attempt

    replace = os.replace

    def stop(source, place):
        if os.path.basename(source) == "schema.json":
            raise KeyboardInterrupt
        replace(source, place)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", stop)
        make()
    assert sorted(os.listdir(tmp_path / "data")) == ["a", "vocabularies", "z"]
    with pytest.raises(OutputError, match="exists already"), new_folder(str(tmp_path / "data"), {}):
        pass
    make()
    assert sorted(os.listdir(tmp_path / "data")) == ["a", "schema.json", "vocabularies", "z"]
    assert os.listdir(tmp_path) == ["data"]


def test_an_empty_name():
    with pytest.raises(OutputError, match="output_dir must not be empty"), new_folder("", REQUEST):
        pass


def test_a_new_folder_is_empty(tmp_path):
    with new_folder(str(tmp_path / "data"), REQUEST) as partial:
        write(partial.new("scratch"))
        assert os.listdir(partial.new("scratch")) == []


def test_two_at_once(tmp_path):
    with new_folder(str(tmp_path / "data"), REQUEST) as partial:
        write(partial.records)
        with (pytest.raises(OutputError, match="data is being made by another process$"),
              new_folder(str(tmp_path / "data"), {})):
            pass
    assert (tmp_path / "data" / "file").read_text() == "text"


@pytest.mark.parametrize("is_file", [False, True])
def test_contents_are_never_replaced(tmp_path, is_file):
    path = tmp_path / "data" if is_file else tmp_path / "data" / "mine"
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(OutputError, match="data exists already"), new_folder(str(tmp_path / "data"), REQUEST):
        pass
    assert path.read_text() == "mine"


def test_contents_that_appear_meanwhile_are_not_replaced(tmp_path):
    with (pytest.raises(OutputError, match="data cannot be written: .*not empty"),
          new_folder(str(tmp_path / "data"), REQUEST)):
        (tmp_path / "data").mkdir()
        write(tmp_path / "data", "mine")
    assert (tmp_path / "data" / "file").read_text() == "mine"


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with (pytest.raises(OutputError, match=r"file/data cannot be written: [^\n]*Not a directory"),
          new_folder(str(tmp_path / "file" / "data"), REQUEST)):
        pass
