"""Mapping files: what a key may be, and how a wrong one is refused."""

import pytest

from data_prep.errors import InputError
from data_prep.own_logs.feature_columns import FeatureColumn
from data_prep.own_logs.mapping import Domain, read_mapping
from data_prep.own_logs.rules import Rule

LEAST = """
user = "u"
time = "t"
events = { files = "e.csv", domain = { column = "kind", target = "live" } }
features.item = { author = "author" }
"""


def mapping(tmp_path, text):
    (tmp_path / "logs.toml").write_text(text, encoding="utf-8")
    return read_mapping(str(tmp_path / "logs.toml"))


def test_what_is_not_said(tmp_path):
    found = mapping(tmp_path, LEAST)
    events, = found.events
    assert (events.user, events.time, events.files) == ("u", "t", ("e.csv",))
    assert events.domain == Domain("kind", ("live",))
    assert found.features.item == {"author": FeatureColumn(("author",))}
    assert found.negatives.per_positive == 4 and found.impressions is None


def test_a_byte_order_mark_and_line_ends_of_two_characters(tmp_path):
    (tmp_path / "logs.toml").write_bytes(b"\xef\xbb\xbf" + LEAST.strip().replace("\n", "\r\n").encode())
    assert read_mapping(str(tmp_path / "logs.toml")) == mapping(tmp_path, LEAST)


def test_tables_may_say_otherwise(tmp_path):
    found = mapping(tmp_path, LEAST + '[impressions]\nfiles = ["a", "b"]\nlabel = "c"\nuser = "v"\ntime_unit = "ms"\n')
    assert (found.impressions.user, found.impressions.time, found.impressions.domain) == ("v", "t", "target")
    assert found.negatives is None


@pytest.mark.parametrize("text, message", [
    ("user = ", "mapping .*logs.toml: Invalid"),
    (LEAST + "tme = 3", "logs.toml, tme: unknown key, known: features, events, name, time_zone"),
    (LEAST + "name = 3", "logs.toml, name: expected a text, got 3"),
    (LEAST + 'name = "a b"', "a b: names have letters, digits and _"),
    (LEAST + 'time_zone = "Mars"', "time_zone must be a name such as Asia/Shanghai or an offset .*, got 'Mars'"),
    (LEAST + 'time_unit = "minutes"', "time_unit must be one of s, ms, us, ns, text, day, got 'minutes'"),
    (LEAST + "time_gap = [3, 2]", r"time_gap must be rising seconds above 0, got \[3, 2\]"),
    (LEAST + 'scenario = "tab"', "scenario must be a request feature, one of none, got 'tab'"),
    (LEAST + '[features.context]\nwatch = { column = "w", buckets = 1 }', "context.watch: buckets must be from 2"),
    (LEAST + 'features.context.Author = "w"'.replace("features.context.Author", "[features.context]\nAuthor"),
     "context.Author: the name is taken by item.author"),
    (LEAST + '[features.context]\nrows = "w"', "context.rows: the name is taken, as are user"),
    (LEAST + '[features.context]\nw = { column = "w", table = "../x" }', "../x: names have letters, digits and _"),
    (LEAST + '[features.context]\nw = { column = "w", table = "Author" }', "tables Author and author differ in case"),
    (LEAST + '[features.context]\nw = { column = "w", buckets = 3, missing = "none" }', "missing must be an integer"),
    (LEAST.replace('"e.csv"', '"e.csv", delimiter = "::"'), "events: delimiter must be one ASCII character and no line "
     "end, got '::'"),
    (LEAST.replace('"e.csv"', '"e.csv", delimiter = "é"'), "events: delimiter must be .*, got 'é'"),
    (LEAST.replace('"e.csv"', '"e.csv", quote = "\\n"'), r"events: quote must be .*, got '\\n'"),
    (LEAST + 'users = { files = "u.csv", key = "u", quote = "“" }', "users: quote must be .*, got '“'"),
    (LEAST + '[features.context]\ntallied_rows = "w"', "context.tallied_rows: the name is taken"),
    (LEAST + '[features.context]\nTallied_Moment = "w"', "context.Tallied_Moment: the name is taken"),
    (LEAST + 'time_zone = "+25:00"', "time_zone must be from -14:00 to"),
    (LEAST + '[features.context]\nuser = "w"', "context.user: the name is taken, as are user, timestamp, label"),
    (LEAST + '[features.context]\nauthor = "w"', "context.author: the name is taken by item.author"),
    (LEAST + '[features.context]\nwatch = { column = "w", boundaries = [2, 1] }', "boundaries must rise"),
    (LEAST + '[features.context]\nwatch = { column = "w", without = "x" }', "without, place and values need separator"),
    (LEAST + "[splits]\nnum_days = 7", "num_days must be at least 3 and needs first_day"),
    (LEAST + "[splits]\nfirst_day = 2024-01-01\nnum_days = 1000000000000", "splits: num_days must end before the"),
    (LEAST.replace('"author"', '{ column = "a", missing = 9223372036854775808 }'),
     "features.item.author.missing: expected an integer of 64 bits, got 9223372036854775808"),
    (LEAST + "time_gap = [60, 9223372036854775808]", "time_gap: expected an integer of 64 bits, got 92"),
    (LEAST + f"[splits]\ntest_share = 1{400 * '0'}", "splits.test_share: expected a finite number, got 1000"),
    (LEAST + '[features.context]\nwatch = { column = "w", boundaries = [1, nan] }',
     "features.context.watch.boundaries: expected a finite number, got nan"),
    (LEAST + '[features.context]\nwatch = { column = "w", boundaries = [-inf, 3] }', "a finite number, got -inf"),
    (LEAST + "[splits]\nvalidation_from = 2024-01-05", "validation_from and test_from need each other"),
    (LEAST + "[splits]\nvalidation_from = 2024-01-05\ntest_from = 2024-01-05", "test_from must be after"),
    (LEAST + '[splits]\nfirst_day = "soon"', "first_day must be a date like 2017-05-06, got 'soon'"),
    (LEAST + "[splits]\nvalidation_share = 0.9", "must be above 0 and below 1 together, got 0.9 and 0.1"),
    (LEAST + '[splits]\nby = "user"\nnum_days = 4\nfirst_day = 2024-01-01', "by = .user. excludes num_days"),
    (LEAST + '[negatives]\nitem = "room"', "negatives.item must be an item feature, one of author, got 'room'"),
    (LEAST + '[negatives]\nclicks = "kind is 3"', "expected a rule such as .*, got 'kind is 3'"),
    (LEAST + "[negatives]\nper_positive = 0", "per_positive must be from 1 to 1000, got 0"),
    (LEAST + '[impressions]\nfiles = "a"', "impressions: label is missing"),
    (LEAST + '[impressions]\nfiles = "a"\nlabel = "c"\n[negatives]\nseed = 1', "leave out one of them"),
    (LEAST.replace('user = "u"', ""), "events.user is missing"),
    (LEAST.replace(", domain = { column = \"kind\", target = \"live\" }", ""), "events.domain is missing"),
    (LEAST.replace('target = "live"', 'targets = "live"'), "events.domain.targets: unknown key, known: column, target"),
    (LEAST.replace('"e.csv"', "[]"), "events: files must name a file"),
    ('events = []\nfeatures.item = { a = "b" }', "events must have a table"),
    (LEAST.replace('features.item = { author = "author" }', ""), "features is missing"),
])
def test_what_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        mapping(tmp_path, text)


@pytest.mark.parametrize("text, rule", [
    ("stay_seconds >= 10", Rule("stay_seconds", ">=", 10)), ('kind == "pv"', Rule("kind", "==", "pv")),
    ("a b in ['x', 'y']", Rule("a b", "in", ("x", "y"))), ("x<-1.5", Rule("x", "<", -1.5)),
    ("within == 1", Rule("within", "==", 1))])
def test_rules(text, rule):
    assert Rule.parse(text) == rule


@pytest.mark.parametrize("text", ["", "x", "x ==", "x == y", "x in 3", "x == [1]", "x in [1, 'a']", "x == None",
                                  "x in []", "x == True"])
def test_what_is_no_rule(text):
    with pytest.raises(ValueError, match="expected a rule such as"):
        Rule.parse(text)
