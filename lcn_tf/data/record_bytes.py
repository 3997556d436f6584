"""What record files are made of, without TensorFlow: how many records they hold, and what tells them from others.

The format of TFRecords: for each record its length as eight bytes, that length's checksum, the record, the record's
checksum; little endian. A checksum is the CRC-32C, rotated right by 15 bits, plus a constant. A file may be gzipped as
a whole; that is seen in its first bytes, whatever it is called.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

_HEADER_BYTES, _FOOTER_BYTES = 12, 4  # a record's length and that length's checksum; the record's checksum
_GZIP, _ZLIB = b"\x1f\x8b", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")  # how a compressed file begins
_LARGEST_RECORD = 1 << 40


class RecordError(ValueError):
    """A record file that cannot be read as request groups of the schema; the message names file, record and field."""


class Fingerprint:
    """Hexadecimal digits that differ where a data set's schema, record, order of records or frozen vectors do.

    Each record counts with its length and its stored checksum, which stand for its bytes; the files' names and their
    compression do not count.

    Args:
      schema: the fingerprint of the schema.
    """

    def __init__(self, schema: str):
        self._digest = hashlib.sha256(schema.encode())

    def begin(self, split: str) -> None:
        """What is added next are files of a split."""
        self._digest.update(split.encode())

    def add(self, path: str) -> int:
        """Adds a file; returns its number of records. Raises what `count_records` does."""
        self._digest.update(b"file")
        records = 0
        for frame in _frames(path):
            self._digest.update(frame)
            records += 1
        return records

    def add_vectors(self, table: str, path: str) -> None:
        """Adds the frozen content vectors of a table: all bytes of their file."""
        self._digest.update(f"vectors of {table}".encode())
        with open(path, "rb") as file:
            self._digest.update(hashlib.file_digest(file, "sha256").digest())

    @property
    def digits(self) -> str:
        """Of what was added so far."""
        return self._digest.hexdigest()


def compression_of(path: str) -> str:
    """How TensorFlow calls the compression of a file: "GZIP" or, where there is none, ""."""
    with open(path, "rb") as file:
        start = file.read(_HEADER_BYTES)
    return "GZIP" if start.startswith(_GZIP) and not _is_header(start) else ""


def count_records(path: str) -> int:
    """Number of records of a file; follows their lengths, and reads the records themselves only to decompress them.

    Raises:
      RecordError: no TFRecord file, or one that ends within a record.
    """
    return sum(1 for _ in _frames(path))


def _frames(path: str) -> Iterator[bytes]:
    """Of every record, what stands around it: length and checksums. Raises what `count_records` does."""
    count = 0
    try:
        with _open(path) as file:
            while header := file.read(_HEADER_BYTES):
                if len(header) == _HEADER_BYTES and not _is_header(header):
                    raise RecordError(f"{path}: {_not_a_header(header, count)}")
                length = struct.unpack("<Q", header[:8])[0] if len(header) == _HEADER_BYTES else 0
                file.seek(min(length, _LARGEST_RECORD), 1)
                footer = file.read(_FOOTER_BYTES)
                if len(footer) < _FOOTER_BYTES:
                    raise RecordError(f"{path}: truncated: it ends within the record after record {count}")
                yield header + footer
                count += 1
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RecordError(f"{path}: damaged gzip file, after record {count}: {error}") from error


def _open(path: str) -> gzip.GzipFile | BinaryIO:
    """The file as if it were not compressed."""
    return gzip.open(path) if compression_of(path) else open(path, "rb")


def _is_header(data: bytes) -> bool:
    """Whether twelve bytes are a length and its checksum."""
    crc = google_crc32c.value(data[:8])
    return data[8:] == struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _not_a_header(data: bytes, count: int) -> str:
    if count:
        return f"damaged after record {count}: the length of the next one does not have its checksum"
    if data.startswith(_ZLIB):
        return "compressed with zlib; expected TFRecords as they are, or gzipped"
    return f"not a TFRecord file: it begins with {data[:8]!r}, which is no length with its checksum"
