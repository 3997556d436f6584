"""What a runtime other than TensorFlow offers: a file of its own format made of an export, and answers from that file.

The format is that runtime's; requests and answers are those of `serving_default`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]
Answer = Callable[[Arrays], dict[str, np.ndarray]]


class ConversionError(RuntimeError):
    """An export that a runtime cannot take; the message names the operation where one is to blame."""


@dataclasses.dataclass(frozen=True)
class SecondRuntime:
    """A runtime.

    Attributes:
      convert: takes the path of an export and a folder, and writes the converted model into the folder. Raises
        `ConversionError`.
      load: takes that folder and a number of threads (None: as the runtime likes); returns what answers a request,
        int64 arrays by input name, with arrays by output name. Inputs that the model does not read may be given.
    """

    convert: Callable[[str, str], None]
    load: Callable[[str, int | None], Answer]
