import csv
import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from data_prep.taobao import generator, planted_process
from data_prep.taobao.generator import FILES, TRUE_PROBABILITY_FILE, GeneratorConfig, generate

FIRST_DAY = 1_494_000_000
SMALL = GeneratorConfig(num_users=700)


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    path = tmp_path_factory.mktemp("logs")
    generate(path, SMALL)
    return path


def _table(path, name):
    """Columns of a file as lists of cell texts, by header cell."""
    with open(path / name, newline="", encoding="ascii") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, zip(*rows, strict=True), strict=True))


def _ints(column):
    return np.array(column, dtype=np.int64)


def test_files_and_headers(logs):
    assert {path.name for path in logs.iterdir()} == {*FILES, TRUE_PROBABILITY_FILE}
    for name, header in FILES.items():
        text = (logs / name).read_bytes()
        assert text.startswith(header.encode() + b"\n")
        assert not any(unwanted in text for unwanted in (b"\r", b'"', b"\n\n", b"\0"))
        assert text.endswith(b"\n")
    assert FILES["user_profile.csv"].endswith("new_user_class_level ")
    assert (logs / TRUE_PROBABILITY_FILE).read_bytes().startswith(b"impression_id,probability\n0,0.")


def test_same_seed_same_bytes_another_seed_others(logs, tmp_path):
    generate(tmp_path / "same", SMALL)
    generate(tmp_path / "other", dataclasses.replace(SMALL, seed=SMALL.seed + 1))
    for name in (*FILES, TRUE_PROBABILITY_FILE):
        original = (logs / name).read_bytes()
        assert (tmp_path / "same" / name).read_bytes() == original
        assert (tmp_path / "other" / name).read_bytes() != original


def test_another_that_writes_into_the_folder_meanwhile_changes_nothing(logs, tmp_path, monkeypatch):
    draw = planted_process.draw_users

    def meanwhile(*arguments):
        monkeypatch.setattr(planted_process, "draw_users", draw)
        generate(tmp_path, SMALL)
        return draw(*arguments)

    monkeypatch.setattr(planted_process, "draw_users", meanwhile)
    generate(tmp_path, SMALL)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in logs.iterdir()}


def test_crlf_differs_in_line_ends_only(logs, tmp_path):
    generate(tmp_path, dataclasses.replace(SMALL, line_end="crlf"))
    for name in (*FILES, TRUE_PROBABILITY_FILE):
        text = (tmp_path / name).read_bytes()
        assert text.count(b"\r\n") == text.count(b"\n") == text.count(b"\r")
        assert text.replace(b"\r\n", b"\n") == (logs / name).read_bytes()


def test_raw_sample_has_the_real_format(logs):
    columns = _table(logs, "raw_sample.csv")
    user, second, ad = (_ints(columns[name]) for name in ("user", "time_stamp", "adgroup_id"))
    assert np.all(np.diff(ad) >= 0)
    assert np.any(np.diff(user) < 0) and np.any(np.diff(second) < 0)
    assert set(columns["pid"]) == {"430548_1007", "430539_1007"}
    assert set(columns["clk"]) == {"0", "1"}
    assert np.all(_ints(columns["nonclk"]) == 1 - _ints(columns["clk"]))
    assert set((second - FIRST_DAY) // 86_400) == set(range(8))
    assert len(set(zip(user, second, ad, strict=True))) == len(user)
    _, sizes = np.unique(np.stack([user, second]), axis=1, return_counts=True)
    assert set(sizes) == {3, 10}


def test_ad_feature_has_the_real_format(logs):
    columns = _table(logs, "ad_feature.csv")
    ads = _ints(columns["adgroup_id"])
    assert sorted(ads) == list(range(1, 3 * SMALL.num_target_keys + SMALL.num_source_ads + 1))
    assert set(_table(logs, "raw_sample.csv")["adgroup_id"]) <= set(columns["adgroup_id"])
    assert np.all(np.diff(_ints(columns["customer"])) >= 0)
    assert 0.2 < np.mean(np.array(columns["brand"]) == "NULL") < 0.4
    assert all(text == "NULL" or text.isdigit() for text in columns["brand"])
    assert all("." in text and float(text) >= 0.01 for text in columns["price"])
    assert any(text.endswith(".0") for text in columns["price"]) and any(text[-3] == "." for text in columns["price"])
    assert [generator._price(price) for price in (170.0, 32.99, 1e8)] == ["170.0", "32.99", "1.0E8"]


def test_user_profile_has_the_real_format(logs):
    columns = _table(logs, "user_profile.csv")
    users = _ints(columns["userid"])
    assert np.all(np.diff(users) > 0) and users[-1] <= SMALL.num_users
    assert 0.02 < 1 - len(users) / SMALL.num_users < 0.08
    assert set(columns["pvalue_level"]) == {"", "1", "2", "3"}
    assert set(columns["new_user_class_level "]) == {"", "1", "2", "3", "4"}
    assert 0.45 < np.mean(np.array(columns["pvalue_level"]) == "") < 0.63
    assert set(columns["final_gender_code"]) == {"1", "2"}
    assert not set(_table(logs, "raw_sample.csv")["user"]) <= set(columns["userid"])


def test_behavior_log_has_the_real_format(logs):
    columns = _table(logs, "behavior_log.csv")
    user, second, cate = (_ints(columns[name]) for name in ("user", "time_stamp", "cate"))
    day = (second - FIRST_DAY) // 86_400
    assert day.min() == -14 and day.max() == 7
    assert np.any(np.diff(user) < 0) and np.any(np.diff(second) < 0)
    assert set(columns["btag"]) == {"pv", "cart", "fav", "buy"}
    assert np.mean(np.array(columns["btag"]) == "pv") > 0.85
    assert all(columns["brand"]) and "NULL" not in columns["brand"]
    rows = list(zip(*columns.values(), strict=True))
    assert 0.01 < 1 - len(set(rows)) / len(rows) < 0.03
    shown = set(_ints(_table(logs, "raw_sample.csv")["user"]))
    assert shown - set(user) and len(set(user)) > 0.9 * SMALL.num_users
    assert 0.05 < np.mean(cate < 2_000) < 0.2


def test_items_are_disjoint_between_domains_and_brands_are_not(logs):
    events = _table(logs, "behavior_log.csv")
    keys = set(zip(_ints(events["cate"]), events["brand"], strict=True))
    source = {key for key in keys if key[0] >= 2_000}
    assert (len(source), len(keys - source)) == (SMALL.num_source_keys, SMALL.num_target_keys)
    shared = {brand for _, brand in source} & {brand for _, brand in keys - source}
    assert len(shared) > 50
    world = planted_process.make_world(SMALL, np.random.default_rng(3))
    topics_of_brand = [set(world.topic[world.brand == brand]) for brand in np.unique(world.brand)]
    assert np.mean([len(topics) > 1 for topics in topics_of_brand]) > 0.7
    assert set(world.topic[:SMALL.num_source_keys]) == set(world.topic[SMALL.num_source_keys:]) == set(range(40))


def test_clicks_follow_the_true_probability(logs):
    truth = _table(logs, TRUE_PROBABILITY_FILE)
    clicked = _ints(_table(logs, "raw_sample.csv")["clk"])
    assert list(_ints(truth["impression_id"])) == list(range(len(clicked)))
    assert min(map(len, truth["probability"])) >= len("0.123456")
    probability = np.array(truth["probability"], float)
    for rows in np.array_split(np.argsort(probability, kind="stable"), 5):
        spread = np.sqrt(np.sum(probability[rows] * (1 - probability[rows])))
        assert abs(np.sum(clicked[rows]) - np.sum(probability[rows])) < 4 * spread
    assert 0.08 < clicked.mean() < 0.14
    assert 0.74 < _auc(clicked, probability) < 0.81


def _auc(label, score):
    positive, negative = score[label == 1], np.sort(score[label == 0])
    below = np.searchsorted(negative, positive, "left") + np.searchsorted(negative, positive, "right")
    return below.mean() / 2 / len(negative)


def test_impressions_of_source_ads_are_the_smaller_part(logs):
    ads = _table(logs, "ad_feature.csv")
    cate = dict(zip(ads["adgroup_id"], _ints(ads["cate_id"]), strict=True))
    shown = np.array([cate[ad] for ad in _table(logs, "raw_sample.csv")["adgroup_id"]])
    assert 0.14 < np.mean(shown >= 2_000) < 0.20


def test_latest_events_reflect_interests_and_older_source_events_rarely():
    config = GeneratorConfig(no_event_share=0.0)
    world = planted_process.make_world(config, np.random.default_rng(5))
    impressions, events = planted_process.draw_users(world, 300, np.random.default_rng(7))
    is_target = world.cate[events.key] < 2_000
    shares = {"target": [], "source": [], "older": []}
    pages = sorted(set(zip(impressions.user.tolist(), impressions.timestamp.tolist(), strict=True)))
    for user, second in pages[::3]:
        before = np.flatnonzero((events.user == user) & (events.timestamp < second))
        before = before[np.argsort(-events.timestamp[before], kind="stable")]
        source, target = before[~is_target[before]], before[is_target[before]]
        for name, rows in (("target", target[:24]), ("source", source[:24]), ("older", source[24:524])):
            shares[name].extend(events.from_interest[rows])
    assert 0.4 < np.mean(shares["target"]) < 0.65
    assert 0.4 < np.mean(shares["source"]) < 0.65
    assert 0.05 < np.mean(shares["older"]) < 0.20
    deeds = events.btag > 0
    assert np.mean(deeds[events.from_interest]) > 10 * np.mean(deeds[~events.from_interest])


def test_trends_drift():
    world = planted_process.make_world(GeneratorConfig(), np.random.default_rng(11))
    shares = np.stack([np.bincount(day, minlength=40) for day in world.trend]) / world.trend.shape[1]
    neighbours = np.mean([np.corrcoef(shares[day], shares[day + 1])[0, 1] for day in range(21)])
    assert 0.4 < neighbours < 0.97
    assert np.corrcoef(shares[0], shares[21])[0, 1] < 0.6


@pytest.mark.parametrize("field,value", [("line_end", "cr"), ("num_users", 0), ("null_brand_share", 1.5),
                                         ("num_target_keys", 2_000), ("num_source_keys", 39), ("seed", -1),
                                         ("focus_interests", 6), ("visits_per_user", -1.0), ("num_source_ads", 10)])
def test_bad_settings_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        GeneratorConfig(**{field: value})


def test_every_setting_has_a_help_text():
    assert all(field.metadata["help"].endswith(".") for field in dataclasses.fields(GeneratorConfig))


@pytest.mark.parametrize("change", [{"visits_per_user": 0.0}, {"no_event_share": 1.0}, {"no_profile_share": 1.0},
                                    {"num_topics": 3, "num_source_keys": 7, "num_target_keys": 11, "num_source_ads": 23,
                                     "interests_per_user": 2, "source_ad_share": 1.0}])
def test_extreme_settings_still_give_whole_files(tmp_path, change):
    generate(tmp_path, GeneratorConfig(num_users=13, **change))
    for name, header in FILES.items():
        first, *rows = (tmp_path / name).read_text().splitlines()
        assert first == header and all(row.count(",") == header.count(",") for row in rows)


@pytest.mark.parametrize("intercept", [-60.0, 60.0])
def test_true_probabilities_have_finite_logits(tmp_path, intercept):
    generate(tmp_path, GeneratorConfig(num_users=13, click_intercept=intercept))
    rows = (tmp_path / TRUE_PROBABILITY_FILE).read_text().splitlines()[1:]
    assert {row.split(",")[1] for row in rows} == {"0.00000001" if intercept < 0 else "0.99999999"}


def test_command_line(tmp_path):
    command = [sys.executable, "-m", "data_prep.taobao.generate", f"--output_dir={tmp_path}", "--num_users=19"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert "behavior_log.csv" in result.stdout
    refused = subprocess.run([*command, "--null_brand_share=2"], capture_output=True, text=True, timeout=120)
    assert refused.returncode == 1 and refused.stderr.startswith("error: null_brand_share")
    (tmp_path / "file").write_text("")
    below = tmp_path / "file" / "below"
    refused = subprocess.run([*command, f"--output_dir={below}"], capture_output=True, text=True, timeout=120)
    assert refused.returncode == 1 and refused.stderr.startswith(f"error: output_dir {below} cannot be written")
