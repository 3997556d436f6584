"""Texts -> vectors: which words they have, weighted by how rare these are, in few dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from data_prep.errors import InputError

WIDTH = 64
_DECIMALS = 5  # what processors differ by is far below: the same texts have the same bytes, and data its fingerprint


def tfidf_vectors(texts: Sequence[str], width: int = WIDTH, min_texts: int = 2, seed: int = 0) -> np.ndarray:
    """Latent semantic analysis by scikit-learn: TF-IDF rows of norm 1, brought to `width` numbers by a truncated SVD.

    Args:
      texts: any language that has words between spaces; case does not count, nor do words of one character.
      width: numbers of a vector; fewer where there are no more texts or words than that.
      min_texts: words of fewer texts are left out: a word of one text says nothing about others.
      seed: of the SVD's random start; the same texts and seed give the same vectors.

    Returns:
      `[texts, width]` float32, to the fifth decimal; zeros for a text without a known word.

    Raises:
      InputError: a number below 1, or fewer than two texts or words.
    """
    for name, value in (("width", width), ("min_texts", min_texts)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")
    try:
        words = TfidfVectorizer(min_df=min_texts, sublinear_tf=True, dtype=np.float64).fit_transform(texts)
    except ValueError as error:
        raise InputError(f"no word is in {min_texts} of the {len(texts):,} texts: {error}") from error
    if min(words.shape) < 2:
        raise InputError(f"expected two texts and two words that are in at least {min_texts} of them, got "
                         f"{words.shape[0]:,} and {words.shape[1]:,}")
    width = min(width, min(words.shape) - 1)
    vectors = TruncatedSVD(width, algorithm="arpack", random_state=seed).fit_transform(words)
    return np.round(vectors, _DECIMALS).astype(np.float32)
