"""Files appear when they are whole, and replace what was there in one step."""

import os

import pytest

from lcn_tf import whole_files


def test_text_is_written_as_it_is(tmp_path):
    path = tmp_path / "file"
    for text in ("\u00fc\r\n", "shorter"):
        whole_files.write_text(str(path), text)
        assert path.read_bytes() == text.encode()
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("sync", [True, False])
def test_bytes_wait_under_another_name(tmp_path, sync):
    path, partial = str(tmp_path / "file"), str(tmp_path / "waiting")
    with whole_files.replacing(path, "wb", partial, sync) as file:
        file.write(b"\0\r\n")
        assert os.listdir(tmp_path) == ["waiting"]
    assert os.listdir(tmp_path) == ["file"]
    with open(path, "rb") as file:
        assert file.read() == b"\0\r\n"


def test_a_block_that_fails_leaves_the_file_as_it_is(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(ValueError, match="stop"), whole_files.replacing(str(path)) as file:
        file.write("half")
        raise ValueError("stop")
    assert path.read_text() == "before"
