"""Settings: the paper's defaults, refusals, and what each may not be."""

import dataclasses

import pytest

from data_prep.config import PreparationConfig
from data_prep.industrial.config import IndustrialConfig
from data_prep.movielens.config import MovieLensConfig
from data_prep.taobao.config import TaobaoConfig, describe
from data_prep.userbehavior.config import UserBehaviorConfig
from tests.data_prep.taobao_logs import second


def test_defaults_are_those_of_the_paper():
    config = PreparationConfig()
    assert (config.snapshot, config.history_gap_seconds) == ("request", 0)
    assert (config.short_length, config.lifelong_length, config.exclude_recent) == (24, 500, False)
    taobao = TaobaoConfig()
    assert (taobao.target_category_below, taobao.row_set) == (2000, "target")
    assert taobao.behaviors == ("pv", "cart", "fav", "buy")
    assert describe(taobao).splits == {"train": (1494000000, second(11)), "validation": (second(11), second(12)),
                                       "test": (second(12), second(13))}


def test_last_seven_days_are_a_matter_of_two_settings():
    splits = describe(TaobaoConfig(first_day="2017-05-07", num_days=7)).splits
    assert splits["train"][0] == second(7) and splits["test"] == (second(13), second(14))


@pytest.mark.parametrize(("config_class", "setting", "value"), [
    (PreparationConfig, "snapshot", "week"),
    (PreparationConfig, "history_gap_seconds", -1),
    (PreparationConfig, "short_length", 0),
    (PreparationConfig, "lifelong_length", 0),
    (PreparationConfig, "min_count", 0),
    (PreparationConfig, "max_candidates", 0),
    (PreparationConfig, "vocabulary", "learned"),
    (PreparationConfig, "hash_bins", 0),
    (PreparationConfig, "hash_bins", 2**31 + 1),
    (PreparationConfig, "shards", 0),
    (PreparationConfig, "workers", 0),
    (PreparationConfig, "engine", "pandas"),
    (PreparationConfig, "max_reject_share", -0.1),
    (PreparationConfig, "max_reject_share", 1.5),
    (PreparationConfig, "memory_limit", "4 gigabytes"),
    (PreparationConfig, "memory_limit", "lots"),
    (TaobaoConfig, "first_day", "06.05.2017"),
    (TaobaoConfig, "num_days", 2),
    (TaobaoConfig, "row_set", "some"),
    (TaobaoConfig, "behaviors", ["ipv"]),
    (TaobaoConfig, "behaviors", []),
    (MovieLensConfig, "target_genre", " "),
    (MovieLensConfig, "row_set", "all"),
    (MovieLensConfig, "label_threshold", 5.5),
    (MovieLensConfig, "negatives_per_positive", -1),
    (MovieLensConfig, "negatives_seed", 2**31),
    (MovieLensConfig, "validation_from", "soon"),
    (MovieLensConfig, "test_from", "2016-13-01"),
    (IndustrialConfig, "first_day", "06.05.2017"),
    (IndustrialConfig, "utc_offset_hours", 14.5),
    (IndustrialConfig, "utc_offset_hours", 5.4),
    (IndustrialConfig, "utc_offset_hours", float("nan")),
])
def test_refusals_name_the_setting_and_the_value(config_class, setting, value):
    with pytest.raises(ValueError, match=setting) as error:
        config_class(**{setting: value})
    assert repr(value) in str(error.value) or str(value) in str(error.value)


@pytest.mark.parametrize(("text", "size"), [
    ("4GB", 4 * 10**9), ("900MiB", 900 * 2**20), ("1.5 TB", 1_500 * 10**9), ("7B", 7), ("2KB", 2_000)])
def test_memory_in_bytes(text, size):
    assert PreparationConfig(memory_limit=text).memory_bytes == size


@pytest.mark.parametrize("config_class", [TaobaoConfig, IndustrialConfig, UserBehaviorConfig])
def test_a_first_day_may_be_written_in_several_ways(config_class):
    for text in ("20170507", "2017-5-7"):
        assert config_class(first_day=text) == config_class(first_day="2017-05-07")
        assert config_class(first_day=text).first_day == "2017-05-07"


def test_split_days_are_compared_as_days():
    config = MovieLensConfig(validation_from="20170812", test_from="2017-09-01")
    assert (config.validation_from, config.test_from) == ("2017-08-12", "2017-09-01")
    assert MovieLensConfig(validation_from="2017-08-12", test_from="20170901") == config
    with pytest.raises(ValueError, match="test_from must be after validation_from 2017-08-12, got 2017-08-11"):
        MovieLensConfig(validation_from="2017-08-12", test_from="20170811")


@pytest.mark.parametrize(("hours", "first"), [(8, 1_704_038_400), (5.5, 1_704_047_400), (5.75, 1_704_046_500),
                                              (-3.5, 1_704_079_800), (-12, 1_704_110_400)])
def test_time_zones_of_parts_of_hours(hours, first):
    config = IndustrialConfig(utc_offset_hours=hours)
    assert config.splits["train"][0] == first and config.utc_offset == hours * 3_600
    assert config == IndustrialConfig(utc_offset_hours=float(hours))
    assert str(IndustrialConfig(utc_offset_hours=float(hours)).utc_offset_hours) == str(hours)


def test_test_days_come_after_validation_days():
    with pytest.raises(ValueError, match="test_from must be after validation_from 2016-01-02, got 2016-01-01"):
        MovieLensConfig(validation_from="2016-01-02", test_from="2016-01-01")


@pytest.mark.parametrize("config_class", [PreparationConfig, TaobaoConfig, MovieLensConfig])
def test_every_setting_has_a_help_text(config_class):
    for field in dataclasses.fields(config_class):
        assert len(field.metadata["help"]) > 10


def test_settings_of_a_data_set_and_of_the_preparation_can_share_a_command_line():
    shared = {field.name for field in dataclasses.fields(PreparationConfig)}
    for config_class in (TaobaoConfig, MovieLensConfig):
        assert not shared & {field.name for field in dataclasses.fields(config_class)}
