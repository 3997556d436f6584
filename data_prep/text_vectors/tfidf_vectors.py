"""Texts -> vectors: which words they have, weighted by how rare these are, in few dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from data_prep.errors import InputError


def tfidf_vectors(texts: Sequence[str], width: int, min_texts: int = 2, seed: int = 0) -> np.ndarray:
    """Latent semantic analysis by scikit-learn: TF-IDF rows of norm 1, brought to `width` numbers by a truncated SVD.

    Args:
      texts: any language that has words between spaces; case does not count, nor do words of one character.
      width: numbers of a vector.
      min_texts: words of fewer texts are left out: a word of one text says nothing about others.
      seed: of the SVD's random start; the same texts and seed give the same vectors.

    Returns:
      `[texts, width]` float32; zeros for a text without a known word.

    Raises:
      InputError: a number below 1, or too few words or texts for the width.
    """
    for name, value in (("width", width), ("min_texts", min_texts)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")
    try:
        words = TfidfVectorizer(min_df=min_texts, sublinear_tf=True, dtype=np.float64).fit_transform(texts)
    except ValueError as error:
        raise InputError(f"no word is in {min_texts} of the {len(texts):,} texts: {error}") from error
    if width >= min(words.shape):
        raise InputError(f"width must be below the number of texts, {words.shape[0]:,}, and of words that are in at "
                         f"least {min_texts} of them, {words.shape[1]:,}; got {width}")
    return TruncatedSVD(width, algorithm="arpack", random_state=seed).fit_transform(words).astype(np.float32)
