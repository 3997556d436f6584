"""Flag files: encodings, files within files, and errors that name file and line."""

import re
import subprocess
import sys

import pytest
from absl import flags

from command_line import dataclass_flags, flag_files
from data_prep.movielens.config import MovieLensConfig


def parse(*arguments):
    """What is no flag, and the configuration."""
    values = flags.FlagValues()
    dataclass_flags.define("", MovieLensConfig, values)
    flags.DEFINE_string("input_dir", None, "must be given", required=True, flag_values=values)
    rest = flag_files.parse("prepare", flag_files.expand(["--input_dir=x", *arguments]), values)
    return rest[1:], dataclass_flags.read("", MovieLensConfig, values)


CONTENTS = {
    "a byte order mark": b"\xef\xbb\xbf--target_genre=War\n--label_threshold=3",
    "CRLF, blank lines and comments": b"# one\r\n\r\n  // two\r\n --target_genre=War \r\n\r\n-label_threshold=3\r\n",
    "comments in latin-1": b"# caf\xe9\n--target_genre=War\n#\xff\n--label_threshold=3\n",
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_what_a_file_may_look_like(tmp_path, content):
    (tmp_path / "my [0.1].cfg").write_bytes(content)
    for arguments in ([f"--flagfile={tmp_path}/my [0.1].cfg"], ["--flagfile", f"{tmp_path}/my [0.1].cfg"]):
        rest, config = parse(*arguments, "left", "--", "--flagfile=right")
        assert (config.target_genre, config.label_threshold) == ("War", 3.0)
        assert rest == ["left", "--flagfile=right"]


def test_values_in_utf_8_and_files_within_files(tmp_path):
    (tmp_path / "inner.cfg").write_text("\ufeff--target_genre=Comédie\n--label_threshold=2\n", encoding="utf-8")
    (tmp_path / "outer.cfg").write_text(
        f"--label_threshold=3\n--flagfile={tmp_path}/inner.cfg\n--test_from=2010-01-01\n", encoding="utf-8")
    _, config = parse(f"--flagfile={tmp_path}/outer.cfg", f"--flagfile={tmp_path}/outer.cfg")  # twice is no circle
    assert (config.target_genre, config.label_threshold, config.test_from) == ("Comédie", 2.0, "2010-01-01")
    assert parse(f"--flagfile={tmp_path}/outer.cfg", "--label_threshold=4")[1].label_threshold == 4


@pytest.mark.parametrize(("content", "message"), [
    (b"\n--target_genre=Com\xe9die\n", r"a\.cfg, line 2: expected UTF-8 text, got b'--target_genre=Com\\xe9die'"),
    ("--target_genre=War".encode("utf-16"), r"a\.cfg, line 1: expected UTF-8 text, got b'\\xff\\xfe-"),
    (b"--test_from=2010-01-01\nlabel_threshold=3", r"a\.cfg, line 2: expected --name=value or # a comment, got 'label"),
    (b"--test_from=2010-01-01\n--label=3", r"a\.cfg, line 2: Unknown command line flag 'label'"),
    (b"--label_threshold=high", r"a\.cfg, line 1: flag --label_threshold=high: expected a number, got 'high'"),
    (b"#\n--flagfile=CFG",
     r"a\.cfg, line 2: --flagfile=\S+a\.cfg: a circle of flag files, \S+a\.cfg includes \S+a\.cfg"),
    (b"--flagfile=/", r"a\.cfg, line 1: --flagfile=/ cannot be read: Is a directory$"),
])
def test_errors_name_file_and_line(tmp_path, content, message):
    path = tmp_path / "a.cfg"
    path.write_bytes(content.replace(b"CFG", str(path).encode()))
    with pytest.raises(flags.Error, match=message):
        parse(f"--flagfile={path}")


def test_errors_of_the_command_line_name_no_file(tmp_path):
    (tmp_path / "a.cfg").write_text("--label_threshold=3\n")
    with pytest.raises(flags.Error, match="^Unknown command line flag 'label'"):
        parse(f"--flagfile={tmp_path}/a.cfg", "--label=3")
    with pytest.raises(flags.Error, match="^flag --input_dir=None: Flag --input_dir must have a value"):
        values = flags.FlagValues()
        flags.DEFINE_string("input_dir", None, "must be given", required=True, flag_values=values)
        flags.DEFINE_string("other", None, "", flag_values=values)
        (tmp_path / "b.cfg").write_text("--other=3\n")
        flag_files.parse("prepare", flag_files.expand([f"--flagfile={tmp_path}/b.cfg"]), values)


def test_a_missing_file_within_a_file(tmp_path):
    (tmp_path / "a.cfg").write_text(f"\n--flagfile={tmp_path}/b.cfg\n")
    path = re.escape(str(tmp_path))
    with pytest.raises(FileNotFoundError, match=rf"^{path}/a\.cfg, line 2: --flagfile={path}/b\.cfg: no such file$"):
        parse(f"--flagfile={tmp_path}/a.cfg")
    with pytest.raises(FileNotFoundError, match=r"^--flagfile=b\.cfg: no such file$"):
        parse("--flagfile=b.cfg")


def test_a_file_includes_what_is_beside_it_before_what_is_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "mine" / "below").mkdir(parents=True)
    (tmp_path / "mine" / "a.cfg").write_text("--flagfile=below/b.cfg\n--flagfile=only_here.cfg\n")
    (tmp_path / "mine" / "below" / "b.cfg").write_text("--flagfile=c.cfg\n")
    (tmp_path / "mine" / "below" / "c.cfg").write_text("--target_genre=War\n")
    for name in ("b.cfg", "c.cfg"):
        (tmp_path / "here" / name).write_text("--target_genre=Drama\n")
    (tmp_path / "here" / "only_here.cfg").write_text("--label_threshold=2\n")
    monkeypatch.chdir(tmp_path / "here")
    for name in (f"{tmp_path}/mine/a.cfg", "../mine/a.cfg"):
        config = parse(f"--flagfile={name}")[1]
        assert (config.target_genre, config.label_threshold) == ("War", 2.0)


@pytest.mark.parametrize("name", ["a.cfg", "start.cfg"])
def test_a_circle_names_its_files_and_no_others(tmp_path, monkeypatch, name):
    for one, other in (("start", "a"), ("a", "b"), ("b", "c"), ("c", "a")):
        (tmp_path / f"{one}.cfg").write_text(f"--label_threshold=2\n--flagfile={other}.cfg\n")
    monkeypatch.chdir(tmp_path)
    circle = "a.cfg includes b.cfg includes c.cfg includes a.cfg"
    with pytest.raises(flags.Error, match=f"^c.cfg, line 2: --flagfile=a.cfg: a circle of flag files, {circle}$"):
        parse(f"--flagfile={name}")
    (tmp_path / "b.cfg").unlink()
    (tmp_path / "b.cfg").symlink_to(tmp_path / "a.cfg")
    with pytest.raises(flags.Error, match=r"^a\.cfg, line 2: .* a\.cfg includes b\.cfg$"):
        parse(f"--flagfile={name}")


def test_a_command_says_it_in_one_line(tmp_path):
    (tmp_path / "a.cfg").write_bytes(b"\xef\xbb\xbf--num_users=90\n--presets=tiny\n")
    result = subprocess.run(
        [sys.executable, "-m", "data_prep.industrial.generate", f"--flagfile={tmp_path}/a.cfg", "--output_dir=x"],
        capture_output=True, text=True, check=False)
    assert result.returncode == 1 and not result.stdout
    line, = result.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path}/a.cfg, line 2: Unknown command line flag 'presets'")
