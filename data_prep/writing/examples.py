"""Serialises records of int64 lists as `tf.train.Example`, column by column.

A packed int64 list is the concatenation of its values' varints. So a column is encoded once, as one buffer, and the
list of any record is a slice of that buffer, however many records share the value. The bytes equal those of
`tf.train.Example` up to the order of the map's entries, which protocol buffers leave open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


def encode_varints(values: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Protocol-buffer varints of many integers.

    Args:
      values: `[N]` int64; negative values take ten bytes.

    Returns:
      The concatenated varints and `[N + 1]` int64, where each begins (and the last ends).
    """
    unsigned = np.ascontiguousarray(values, np.int64).view(np.uint64)
    sizes = np.ones(len(unsigned), np.int64)
    longest = -(-int(unsigned.max(initial=0)).bit_length() // 7)
    for count in range(1, longest):
        sizes += unsigned >= np.uint64(1 << 7 * count)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    encoded = np.empty(offsets[-1], np.uint8)
    for byte in range(max(longest, 1)):
        long_enough = np.flatnonzero(sizes > byte)
        bits = (unsigned[long_enough] >> np.uint64(7 * byte)) & np.uint64(0x7F)
        more = sizes[long_enough] > byte + 1
        encoded[offsets[long_enough] + byte] = bits.astype(np.uint8) | (more.astype(np.uint8) << 7)
    return encoded.tobytes(), offsets


class Column:
    """Values, encoded once, of which records hold slices.

    Args:
      values: `[N]` int64.
    """

    def __init__(self, values: np.ndarray):
        self._buffer, self._offsets = encode_varints(values)

    def slices(self, starts: np.ndarray, stops: np.ndarray) -> Slices:
        """The feature of R records of which record i holds the values `starts[i]` to `stops[i]`, both `[R]` int64."""
        return Slices(self._buffer, self._offsets[starts].tolist(), self._offsets[stops].tolist())


class Slices(NamedTuple):
    """One feature of many records: where each record's list lies in the encoded buffer."""

    buffer: bytes
    begins: list[int]
    ends: list[int]


class ExampleEncoder:
    """Serialises record after record.

    Args:
      features: feature name -> slices; all describe the same R records.
    """

    def __init__(self, features: Mapping[str, Slices]):
        self._features = [(_Headers(name), *slices) for name, slices in features.items()]

    def serialize(self, record: int) -> bytes:
        """The serialised `tf.train.Example` of one record."""
        parts: list[bytes] = []
        for headers, buffer, begins, ends in self._features:
            begin, end = begins[record], ends[record]
            parts += (headers[end - begin], buffer[begin:end])
        features = b"".join(parts)
        return _tagged(1, len(features)) + features


class _Headers(dict):
    """Bytes of a feature list -> everything of its map entry that comes before them."""

    def __init__(self, name: str):
        super().__init__()
        key = name.encode()
        self._key = _tagged(1, len(key)) + key

    def __missing__(self, size: int) -> bytes:
        packed = _tagged(1, size) if size else b""  # Int64List.value
        int64_list = _tagged(3, len(packed) + size) + packed  # Feature.int64_list
        value = _tagged(2, len(int64_list) + size) + int64_list  # value of the map entry
        entry = self._key + value
        self[size] = _tagged(1, len(entry) + size) + entry  # Features.feature
        return self[size]


def _tagged(field: int, size: int) -> bytes:
    """The tag of a length-delimited field and its length."""
    encoded = [field << 3 | 2]
    while size > 0x7F:
        encoded.append(size & 0x7F | 0x80)
        size >>= 7
    encoded.append(size)
    return bytes(encoded)
