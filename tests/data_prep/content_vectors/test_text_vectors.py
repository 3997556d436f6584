"""TF-IDF in plain Python, what its strongest directions keep, and files of texts that do not fit."""

import collections
import math
import subprocess
import sys

import numpy as np
import pytest

from data_prep.content_vectors.text_vectors import read_texts, tf_idf_vectors
from data_prep.errors import InputError
from lcn_tf.data.record_files import RecordFiles
from tests import synthetic

TEXTS = ["red fish, blue fish", "Blue whale", "old red truck", "new truck", "truck truck red", "", "unheard", "blue"]


def plain_tf_idf(texts):
    """`[n, words]` of the words that two texts have."""
    words = [text.lower().replace(",", "").split() for text in texts]
    found = collections.Counter(word for one in words for word in set(one))
    known = sorted(word for word, count in found.items() if count > 1)
    rows = [[one.count(word) * (math.log((1 + len(texts)) / (1 + found[word])) + 1) for word in known] for one in words]
    norms = [math.sqrt(sum(cell**2 for cell in row)) or 1.0 for row in rows]
    return np.array([[cell / norm for cell in row] for row, norm in zip(rows, norms, strict=True)])


def test_all_directions_keep_every_inner_product():
    expected = plain_tf_idf(TEXTS)
    vectors = tf_idf_vectors(TEXTS, width=100)
    assert vectors.dtype == np.float32 and vectors.shape == expected.shape
    np.testing.assert_allclose(vectors @ vectors.T, expected @ expected.T, atol=1e-6)
    assert not vectors[5].any() and not vectors[6].any()


def test_fewer_directions_are_the_strongest_of_them():
    vectors = tf_idf_vectors(TEXTS, width=2)
    strengths = np.linalg.svd(plain_tf_idf(TEXTS), compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=0), strengths[:2], rtol=1e-5)
    np.testing.assert_array_equal(vectors, tf_idf_vectors(TEXTS, width=2))


@pytest.mark.parametrize(("content", "message"), [
    (b"item,text\n1,a\n", r"line 1: wrong header: expected \['id', 'text'\], got \['item', 'text'\]"),
    (b"id,text\n1,\n", "the file has no text"), (b"id,text\n1,\xff\n", "expected UTF-8 text")])
def test_a_file_that_does_not_fit_is_named(tmp_path, content, message):
    (tmp_path / "texts.csv").write_bytes(content)
    with pytest.raises(InputError, match=f"texts.csv.*{message}"):
        read_texts(str(tmp_path / "texts.csv"))


def test_texts_without_a_common_word_say_nothing():
    with pytest.raises(InputError, match="no word is in two of 2 texts"):
        tf_idf_vectors(["a", "b"])


def test_the_command_takes_texts(tmp_path):
    synthetic.write_records(tmp_path / "data")
    (tmp_path / "texts.csv").write_text('ID, text\n item_2,"red, fish"\n007,fish\nitem_9,red\nitem_9,again\n')
    assert read_texts(str(tmp_path / "texts.csv")) == (["item_2", "7", "item_9"], ["red, fish", "fish", "red"])
    command = [sys.executable, "-m", "data_prep.content_vectors", str(tmp_path / "data"), "--table=item"]
    done = subprocess.run([*command, f"--texts={tmp_path}/texts.csv", "--width=1"], capture_output=True, text=True,
                          check=False)
    assert done.stdout.startswith("2 of 59 ids of the vocabulary of item have a vector (3.4%), of 1 num"), done.stderr
    assert RecordFiles.open(str(tmp_path / "data")).vectors()["item"].shape == (61, 1)
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
