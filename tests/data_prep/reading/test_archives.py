"""Packed files: unpacked whole, or refused by name."""

import gzip
import io
import random
import tarfile

import pytest

from data_prep.errors import InputError
from data_prep.reading import archives

# Larger than the buffers of gzip and tar, and hard to compress, so that damage falls into the content.
CONTENT = b"user,time\r\n" + random.Random(1).randbytes(150_000)


def write(path, contents):
    """Writes `{name: bytes}` as .tar.gz, or the only content as .gz."""
    if not path.name.endswith(".tar.gz"):
        path.write_bytes(gzip.compress(*contents.values(), mtime=0))
        return path
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture(params=["log.csv.gz", "log.csv.tar.gz"])
def packed(request, tmp_path):
    return write(tmp_path / request.param, {"folder/log.csv": CONTENT})


def test_what_is_packed_comes_out(packed, tmp_path):
    assert archives.is_packed(str(packed)) and not archives.is_packed("log.csv")
    assert archives.first_line(str(packed)) == b"user,time"
    archives.unpack(str(packed), str(tmp_path / "plain"))
    assert (tmp_path / "plain").read_bytes() == CONTENT


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_the_first_line_of_a_plain_file(tmp_path, line_end):
    (tmp_path / "log.csv").write_bytes(b"user,time" + line_end + b"1,2")
    assert archives.first_line(str(tmp_path / "log.csv")) == b"user,time"
    (tmp_path / "log.csv").write_bytes(b"")
    assert archives.first_line(str(tmp_path / "log.csv")) == b""


def test_hidden_files_and_folders_do_not_count(tmp_path):
    path = write(tmp_path / "log.csv.tar.gz", {"._log.csv": b"of some file system", "log.csv": CONTENT})
    archives.unpack(str(path), str(tmp_path / "plain"))
    assert (tmp_path / "plain").read_bytes() == CONTENT


@pytest.mark.parametrize("names", [(), ("a.csv", "b.csv")])
def test_an_archive_holds_one_file(tmp_path, names):
    path = write(tmp_path / "log.csv.tar.gz", dict.fromkeys(names, CONTENT))
    with pytest.raises(InputError, match=f"log.csv.tar.gz: expected one file in the archive, "
                                         f"got {', '.join(names) or 'none'}$"):
        archives.unpack(str(path), str(tmp_path / "plain"))
    if not names:
        with pytest.raises(InputError, match="expected one file in the archive, got none$"):
            archives.first_line(str(path))


@pytest.mark.parametrize("kept", [0.01, 0.5, 0.9999])
def test_a_truncated_archive(packed, tmp_path, kept):
    content = packed.read_bytes()
    packed.write_bytes(content[:int(len(content) * kept)])
    with pytest.raises(InputError, match=f"{packed.name}: damaged archive: "):
        archives.unpack(str(packed), str(tmp_path / "plain"))


@pytest.mark.parametrize("place", [0, 0.5, -6])  # the mark of the format, the content, its checksum
def test_a_changed_archive(packed, tmp_path, place):
    content = bytearray(packed.read_bytes())
    content[int(place * len(content)) if isinstance(place, float) else place] ^= 0x55
    packed.write_bytes(content)
    with pytest.raises(InputError, match=f"{packed.name}: damaged archive: "):
        archives.unpack(str(packed), str(tmp_path / "plain"))


def test_a_text_in_place_of_an_archive(tmp_path):
    for name in ("log.csv.gz", "log.csv.tar.gz"):
        (tmp_path / name).write_bytes(b"user,time\n1,2\n")
        with pytest.raises(InputError, match=f"{name}: damaged archive: Not a gzipped file"):
            archives.first_line(str(tmp_path / name))
