"""Texts by raw value -> content vectors: TF-IDF of their words, along its strongest directions.

A text's vector has, for each word, how often the text has it times `log((1 + n) / (1 + texts with it)) + 1`; its norm
is 1. The `width` directions in which these vectors are largest over all texts are kept (latent semantic analysis,
Deerwester et al. 1990).
"""

from __future__ import annotations

import collections
import re

import numpy as np
from scipy import sparse

from data_prep.errors import InputError
from data_prep.reading.csv_files import integer

WIDTH = 64
MOST_WORDS = 2_048  # the commonest ones; a matrix of their square is in memory


def read_texts(path: str) -> tuple[list[str], list[str]]:
    """Raw values and texts of a CSV file with the header `id,text`; ids that are no integers are taken as they are.

    What follows the first comma of a line is text. Of lines with one id the first counts.

    Raises:
      InputError: another header, bytes that are no UTF-8, or no text.
      OSError: the file cannot be read.
    """
    texts: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8-sig") as file:
            header = file.readline().strip()
            if header.lower().replace(" ", "") != "id,text":
                raise InputError(f"{path}, line 1: wrong header: expected ['id', 'text'], got {header.split(',')}")
            for line in file:
                cell, _, text = line.strip().partition(",")
                number = integer(cell)
                texts.setdefault(cell.strip() if number is None else str(number), text.strip(' "'))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8 text: {error}") from error
    if not any(texts.values()):
        raise InputError(f"{path}: the file has no text")
    return list(texts), list(texts.values())


def tf_idf_vectors(texts: list[str], width: int = WIDTH) -> np.ndarray:
    """`[n, width]` float32, fewer columns where the texts have fewer words; a text without a known word has zeros.

    Args:
      texts: n of them; words are runs of letters and digits, in lower case, that at least two texts have.
      width: of the vectors.

    Raises:
      InputError: no word is in two texts.
    """
    counted = [collections.Counter(re.findall(r"\w+", text.lower())) for text in texts]
    with_it = collections.Counter(word for counts in counted for word in counts)
    known = sorted((word for word, found in with_it.items() if found > 1), key=lambda word: (-with_it[word], word))
    place = {word: column for column, word in enumerate(known[:MOST_WORDS])}
    if not place:
        raise InputError(f"no word is in two of {len(texts):,} texts, so they say nothing of one another")
    cells = [(row, place[word], count) for row, counts in enumerate(counted) for word, count in counts.items()
             if word in place]
    rows, columns, counts = np.array(cells).T
    weight = np.log((1 + len(texts)) / (1 + np.array([with_it[word] for word in place]))) + 1
    matrix = sparse.csr_matrix((counts * weight[columns], (rows, columns)), shape=(len(texts), len(place)))
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1))).ravel()
    matrix = sparse.diags_array(1 / np.maximum(norms, 1e-12)) @ matrix
    _, directions = np.linalg.eigh((matrix.T @ matrix).toarray())
    directions = directions[:, ::-1][:, :width]  # the strongest first
    strongest = directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])]
    return (matrix @ (directions * np.sign(strongest))).astype(np.float32)
