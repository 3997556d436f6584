"""Writes TFRecord files without TensorFlow, whose import costs a writing process seconds and half a gigabyte.

The format: for each record its length as eight bytes, that length's checksum, the record, the record's checksum; little
endian. A checksum is the CRC-32C, rotated right by 15 bits, plus a constant.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import BinaryIO

import google_crc32c


def write(file: BinaryIO, records: Iterable[bytes]) -> int:
    """Writes the content of a file.

    Args:
      file: open, with a buffer: records are written one by one.
      records: serialized.

    Returns:
      The bytes of all records, without what the format adds.
    """
    total = 0
    for record in records:
        length = struct.pack("<Q", len(record))
        file.write(length + _checksum(length) + record + _checksum(record))
        total += len(record)
    return total


def _checksum(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
