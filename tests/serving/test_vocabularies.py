"""The vocabularies in an export."""

from lcn_tf.serving.vocabularies import export_vocabularies, vocabulary_fingerprint


def test_they_are_copied_and_named(tmp_path):
    folder, extra = tmp_path / "vocabularies", tmp_path / "extra"
    folder.mkdir()
    (folder / "item.txt").write_text("a\n\nb\n")
    (folder / "user.txt").write_text("7\n")
    (folder / "other.parquet").write_text("")
    fingerprint = export_vocabularies(str(folder), str(extra))
    copied = extra / "vocabularies"
    assert sorted(path.name for path in copied.iterdir()) == ["fingerprint", "item.txt", "user.txt"]
    assert (copied / "item.txt").read_text() == "a\n\nb\n"
    assert (copied / "fingerprint").read_text() == f"{fingerprint}\n" and len(fingerprint) == 16
    assert vocabulary_fingerprint(str(copied)) == vocabulary_fingerprint(str(folder)) == fingerprint


def test_a_moved_id_is_another_vocabulary(tmp_path):
    found = set()
    for text in ("a\n\nb\n", "a\nb\n\n", "a\nb\n"):
        (tmp_path / "item.txt").write_text(text)
        found.add(vocabulary_fingerprint(str(tmp_path)))
    assert len(found) == 3


def test_hashed_ids_have_none(tmp_path):
    assert export_vocabularies(str(tmp_path / "missing"), str(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []
