"""`python -m data_prep.text_vectors --texts=movies.csv --id=movieId --text=title,genres --output=titles.npz`.

Vectors of texts without a language model: TF-IDF and a truncated SVD. The file is what `python -m
data_prep.content_vectors` takes; vectors of any other encoder may take its place, as `ids` and `vectors`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import numpy as np
from absl import app, flags

from command_line import flag_files
from data_prep.text_vectors.texts import read_texts
from data_prep.text_vectors.tfidf_vectors import WIDTH, tfidf_vectors
from lcn_tf.whole_files import replacing

_TEXTS = flags.DEFINE_string("texts", None, "Parquet, or CSV with a header, also .gz", required=True)
_ID = flags.DEFINE_string("id", None, "column of the ids, as the logs have them", required=True)
_TEXT = flags.DEFINE_list("text", None, "columns of the texts, comma separated", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "NumPy file (.npz) to write, with ids and vectors", required=True)
_WIDTH = flags.DEFINE_integer("width", WIDTH, "numbers of a vector, at most")
_MIN_TEXTS = flags.DEFINE_integer("min_texts", 2, "words of fewer texts are left out")
_SEED = flags.DEFINE_integer("seed", 0, "of the decomposition's random start", 0)


def main(arguments: Sequence[str]) -> None:
    """Writes the vectors of the command line; exits with 1 and one line on a refusal."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments: {arguments[1:]}")
    try:
        if not _OUTPUT.value.endswith(".npz"):
            raise ValueError(f"--output must end with .npz, got {_OUTPUT.value}")
        ids, texts = read_texts(_TEXTS.value, _ID.value, _TEXT.value)
        vectors = tfidf_vectors(texts, _WIDTH.value, _MIN_TEXTS.value, _SEED.value)
        with replacing(os.path.abspath(_OUTPUT.value), "wb") as file:
            np.savez(file, ids=np.array(ids), vectors=vectors)
    except (ValueError, OSError) as error:  # InputError is a ValueError
        sys.exit(f"error: {' '.join(str(error).splitlines())}")
    print(f"{vectors.any(axis=1).sum():,} of {len(ids):,} ids have a vector, of {vectors.shape[1]:,} numbers, in "
          f"{_OUTPUT.value}")


if __name__ == "__main__":
    app.run(main, flags_parser=flag_files.parse_or_exit)
