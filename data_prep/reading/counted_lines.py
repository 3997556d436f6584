"""A text file as a stream that counts its lines: quotes that nobody closes make one row of many lines."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa


class CountedLines(io.RawIOBase):
    """The bytes of a file, plain or packed, with a line end after the last line.

    Args:
      path: of the file.

    Attributes:
      lines: that are not empty, of what was read; lines end in LF, CRLF or CR.
    """

    def __init__(self, path: str):
        super().__init__()
        self._source, self._at_line_end, self.lines = pa.input_stream(path), True, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """So many bytes; fewer only at the end."""
        parts, left = [], size
        while left:
            part = self._source.read(left if left > 0 else None)
            if not part:
                break
            parts.append(part)
            left -= len(part) if left > 0 else 0
        block = b"".join(parts)
        self._count(block)
        if left and not self._at_line_end:
            self._at_line_end = True
            return block + b"\n"
        return block

    def _count(self, block: bytes) -> None:
        if block:
            codes = np.frombuffer(block, np.uint8)
            at_end = (codes == ord("\n")) | (codes == ord("\r"))
            begins = np.count_nonzero(at_end[:-1] & ~at_end[1:]) + (self._at_line_end and not at_end[0])
            self.lines += int(begins)
            self._at_line_end = bool(at_end[-1])
