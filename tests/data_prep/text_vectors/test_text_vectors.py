"""Texts become vectors by id: what they mean, that they are the same each time, and that wrong files are named."""

import gzip
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.decomposition import TruncatedSVD

from data_prep.content_vectors.vector_files import read_vectors
from data_prep.errors import InputError
from data_prep.text_vectors.texts import read_texts
from data_prep.text_vectors.tfidf_vectors import tfidf_vectors
from tests.data_prep import movielens_files

ROWS = [("7", "Red Sea", "Water|Travel"), ("007", 'A "quoted", title', ""), ("x", "", "")]
TEXTS = ["red sea water", "blue sea water", "iron mine", "coal mine iron", "red red sea", "coal iron", "?"]


def write_csv(path, lines):
    content = "\n".join(["movieId,title,genres", *lines, ""]).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return str(path)


@pytest.mark.parametrize("name", ["texts.csv", "texts.csv.gz", "texts.parquet"])
def test_ids_and_texts_are_read_as_written(tmp_path, name):
    if name.endswith("parquet"):
        path = str(tmp_path / name)
        columns = zip(*[[cell or None for cell in row] for row in ROWS], strict=True)
        table = dict(zip(("movieId", "title", "genres"), map(list, columns), strict=True))
        pq.write_table(pa.table(table), path)
    else:
        path = write_csv(tmp_path / name, ["7,Red Sea,Water|Travel", '007,"A ""quoted"", title",', "x,,"])
    assert read_texts(path, "movieId", ["title", "genres"]) == (
        ["7", "007", "x"], ["Red Sea Water|Travel", 'A "quoted", title', ""])
    assert read_texts(path, "movieId", ["genres"])[1] == ["Water|Travel", "", ""]


def test_numbers_are_ids_too(tmp_path):
    pq.write_table(pa.table({"id": [3, 5], "text": ["a", "b"]}), tmp_path / "texts.parquet")
    assert read_texts(str(tmp_path / "texts.parquet"), "id", ["text"]) == (["3", "5"], ["a", "b"])


def test_texts_of_the_same_words_are_near():
    vectors = tfidf_vectors(TEXTS, width=2)
    assert vectors.dtype == np.float32 and vectors.shape == (7, 2)
    np.testing.assert_array_equal(vectors[6], 0)  # no word
    norms = np.linalg.norm(vectors[:6], axis=1)
    cosines = vectors[:6] @ vectors[:6].T / np.outer(norms, norms)
    sea = np.isin(np.arange(6), [0, 1, 4])
    assert cosines[np.ix_(sea, sea)].min() > 0.9 > 0.1 > np.abs(cosines[np.ix_(sea, ~sea)]).max()


def test_full_width_keeps_the_products_of_tfidf_rows():
    """A second implementation: counts, weights and norms in numpy."""
    texts = [*TEXTS[:6], *(f"{one} {other}" for one in ("red", "blue", "iron") for other in ("coal", "mine", "water"))]
    words = sorted({word for text in texts for word in text.split()})
    counts = np.array([[text.split().count(word) for word in words] for text in texts], float)
    seen = (counts > 0).sum(0)
    rows = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * (np.log((1 + len(texts)) / (1 + seen)) + 1)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True))[:, seen >= 2]
    left, values, _ = np.linalg.svd(rows, full_matrices=False)
    width = rows.shape[1] - 1
    expected = (left * values)[:, :width]
    found = tfidf_vectors(texts, width)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=2e-5)


def test_what_processors_differ_by_changes_no_byte(monkeypatch):
    exact, fit = tfidf_vectors(TEXTS, width=3), TruncatedSVD.fit_transform
    monkeypatch.setattr(TruncatedSVD, "fit_transform", lambda svd, rows: fit(svd, rows) * (1 + 1e-9))
    np.testing.assert_array_equal(tfidf_vectors(TEXTS, width=3), exact)


def test_impossible_widths_and_texts():
    assert tfidf_vectors(TEXTS, 64).shape == (7, 5)  # of seven texts and six words
    with pytest.raises(InputError, match="two words that are in at least 2 of them, got 3 and 1"):
        tfidf_vectors(["red", "red", "blue"])
    for options, message in (({"width": 0}, "width must be at least 1, got 0"),
                             ({"width": 1, "min_texts": 0}, "min_texts must be at least 1, got 0"),
                             ({"width": 1, "min_texts": 8}, "no word is in 8 of the 7 texts")):
        with pytest.raises(InputError, match=message):
            tfidf_vectors(TEXTS, **options)


@pytest.mark.parametrize(("lines", "columns", "message"), [
    (None, ("movieId", ["title"]), "texts.csv: no such file"),
    (["1,a,b"], ("id", ["title", "plot"]), "texts.csv: no column id and no column plot; it has movieId, title, genres"),
    (["1,a,b"], ("movieId", []), "texts.csv: expected the names of text columns, got none"),
    ([], ("movieId", ["title"]), "texts.csv: no row"),
    (["1,a,b", ",c,d"], ("movieId", ["title"]), "texts.csv, movieId: row 2 has none"),
    (["1,a,b", "2,c,d", "1,e,f"], ("movieId", ["title"]), "movieId: expected each value once, got '1' 2 times"),
    (["1,a,b"], ("movieId", ["title", "title"]), "texts.csv: expected each column once, .*, got title 2 times"),
    (["1,a,b"], ("movieId", ["title", "movieId"]), "texts.csv: expected each column once, .*, got movieId 2 times"),
    (["1,a,b", "2,c"], ("movieId", ["title"]), "texts.csv: cannot be read: .*Expected 3 columns, got 2"),
])
def test_a_wrong_file_is_named(tmp_path, lines, columns, message):
    path = str(tmp_path / "texts.csv")
    if lines is not None:
        write_csv(tmp_path / "texts.csv", lines)
    with pytest.raises(InputError, match=message):
        read_texts(path, *columns)


@pytest.mark.parametrize("name", ["texts.csv", "texts.csv.gz"])
def test_a_quote_that_nobody_closes_is_warned_of(tmp_path, name, caplog):
    path = write_csv(tmp_path / name, ['1,"Red,Sea', "2,b,c", '3,"d",e'])
    with caplog.at_level("WARNING", logger="absl"):
        assert read_texts(path, "movieId", ["title"])[0] == ["1"]
    warning, = caplog.messages
    assert warning == f"{path}: 3 lines make 1 rows: cells between quotes hold line ends; is a quote never closed?"
    caplog.clear()
    write_csv(tmp_path / name, ['1,"Red,Sea",c', "", "2,b,c"])
    assert read_texts(path, "movieId", ["title"])[0] == ["1", "2"] and not caplog.messages


def test_a_column_that_a_file_has_twice_is_named(tmp_path):
    (tmp_path / "texts.csv").write_text("id,title,title\n1,a,b\n")
    with pytest.raises(InputError, match="texts.csv: the column 'title' is there more than once: id, title, title"):
        read_texts(str(tmp_path / "texts.csv"), "id", ["title"])


def test_the_command_writes_what_content_vectors_reads_the_same_each_time(tmp_path):
    lines = [f'{movie},"{title.replace(chr(34), chr(34) * 2)}",{genres}'
             for movie, title, genres, *_ in (*movielens_files.MOVIES, *movielens_files.MANY_MOVIES)]
    texts = write_csv(tmp_path / "movies.csv", lines)

    def run(output, *arguments):
        return subprocess.run(
            [sys.executable, "-m", "data_prep.text_vectors", f"--texts={texts}", "--id=movieId", "--text=title,genres",
             f"--output={tmp_path}/{output}", *arguments], capture_output=True, text=True, check=False)

    done = run("first.npz", "--width=3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"77 of 78 ids have a vector, of 3 numbers, in {tmp_path}/first.npz"
    ids, vectors = read_vectors(str(tmp_path / "first.npz"))
    expected_ids, found = read_texts(texts, "movieId", ["title", "genres"])
    assert ids == expected_ids and ids[:3] == ["1", "2", "3"]
    np.testing.assert_array_equal(vectors, tfidf_vectors(found, 3))  # of another process
    refused = run("second.npy")
    assert refused.returncode == 1 and refused.stderr.splitlines() == [
        f"error: --output must end with .npz, got {tmp_path}/second.npy"]
