"""Input that changes while it is read is refused as such, whatever else that brings about."""

import os

import pytest

from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.preparation import prepare_dataset
from data_prep.taobao import reader
from data_prep.taobao.config import TaobaoConfig
from tests.data_prep.taobao_logs import random_logs, write_logs


@pytest.mark.parametrize("change", ["cut", "cut within a line", "deleted", "same size"])
@pytest.mark.parametrize("when", ["before its lines are read", "after that"])
def test_a_file_that_changes_while_it_is_read(tmp_path, change, when):
    files = reader.find_files(str(write_logs(tmp_path / "logs", random_logs(1))))
    path = files.behavior_log
    size = os.path.getsize(path)

    def alter():
        if change == "deleted":
            os.remove(path)
        elif change == "same size":
            os.utime(path)
        else:
            os.truncate(path, size // 2 if change == "cut" else 60)

    def read(logs):
        if when == "after that":
            source = reader.read(logs, files, TaobaoConfig(), deduplicate=False)
            alter()
            return source
        alter()
        return reader.read(logs, files, TaobaoConfig(), deduplicate=False)

    with pytest.raises(InputError, match=rf"behavior_log\.csv: the file changed while it was read \({size:,} bytes"):
        prepare_dataset(str(tmp_path / "out"), PreparationConfig(), TaobaoConfig(), [path], read)
    assert not (tmp_path / "out").exists() and not (tmp_path / ".out.partial").exists()
