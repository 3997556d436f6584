"""The history of what a user was shown before and did not click."""

import dataclasses

import pytest

from data_prep.calendar_splits import day_start
from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.industrial.config import IndustrialConfig
from data_prep.industrial.prepare import prepare as prepare_industrial
from data_prep.taobao.config import TaobaoConfig
from data_prep.taobao.prepare import prepare as prepare_taobao
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import UNCLICKED, FeatureSchema
from tests import references_data
from tests.data_prep import industrial_logs, taobao_logs
from tests.data_prep.own_logs.mappings import SMALL, prepared
from tests.data_prep.own_logs.small_events import EVENTS_ONLY, FIRST, random_events, records, vocabulary, write_events

SHOWN = EVENTS_ONLY + '[impressions]\nfiles = "shown.csv"\nlabel = "clicked"\n'
LENGTH = 4
WITH = dataclasses.replace(SMALL, unclicked_length=LENGTH)
# Three candidates a page, of which one or none is clicked; a user's pages are hours apart.
ROWS = [(f"u{page % 5}", FIRST + 7_000 * page, int(place == page % 4), f"a{(page + 3 * place) % 11}")
        for page in range(90) for place in range(3)]


@pytest.mark.parametrize("snapshot", ["request", "user", "day"])
def test_it_holds_what_was_shown_strictly_before_and_not_clicked(tmp_path, snapshot):
    logs = write_events(tmp_path / "logs", random_events(1))
    write_events(logs, ROWS, "user,at,clicked,author", "shown.csv")
    folder = prepared(logs, SHOWN, preparation=dataclasses.replace(WITH, snapshot=snapshot))
    spec = FeatureSchema.load(str(folder)).histories[UNCLICKED]
    assert (spec.domain, spec.length, spec.kind, spec.context) == ("target", LENGTH, "extra", ())
    RecordFiles.open(str(folder)).check("test")
    compared, words = 0, ["PADDING", "OOV", *vocabulary(folder, "author")]
    for record in (record for found in records(folder).values() for record in found):
        for place, moment in enumerate(record["timestamp"]):
            cutoff = moment - (moment - FIRST) % 86_400 if snapshot == "day" else moment
            user = next(user for user, at, _, _ in ROWS if at == moment)
            before = [(at, author) for other, at, clicked, author in ROWS
                      if other == user and not clicked and at < cutoff][::-1]
            offset = record[f"{UNCLICKED}_offset"][place]
            found = [(at, words[number]) for at, number in zip(
                record[f"{UNCLICKED}_timestamp"], record[f"{UNCLICKED}_author"], strict=True)]
            assert found[offset:offset + LENGTH] == [
                (at, author if author in words else "OOV") for at, author in before[:LENGTH]]
            compared += len(before) > LENGTH
    assert compared > 50


@pytest.mark.parametrize("dataset, snapshot, gap", [
    ("taobao", "request", 0), ("taobao", "user", 4_000), ("industrial", "day", 0), ("industrial", "user", 0)])
def test_ads_and_rooms_not_clicked(tmp_path, dataset, snapshot, gap):
    """Those of the raw files, found one by one, for every candidate; none of its own second, or of a later one."""
    preparation = PreparationConfig(short_length=3, lifelong_length=11, shards=2, memory_limit="500MB",
                                    snapshot=snapshot, history_gap_seconds=gap, unclicked_length=LENGTH)
    if dataset == "taobao":
        logs, config, names = taobao_logs.write_logs(tmp_path / "logs", taobao_logs.random_logs(2)), TaobaoConfig(), (
            "cate", "brand")
        days = [day_start(config.first_day, 8 * 3600) + day * 86_400 for day in range(config.num_days + 1)]
        rows = references_data.taobao_tables(logs, days)[0]
    else:
        logs, config, names = industrial_logs.write_logs(
            tmp_path / "logs", industrial_logs.random_logs(2)), IndustrialConfig(), ("author", "category")
        days = [industrial_logs.second(day) for day in range(1, config.num_days + 2)]
        rows = industrial_logs.plain_tables(logs, days[0], days[-1])[0]
    folder = tmp_path / "prepared"
    {"taobao": prepare_taobao, "industrial": prepare_industrial}[dataset](str(logs), str(folder), config, preparation)
    words = {feature.name: ["PADDING", "OOV", *vocabulary(folder, feature.table)]
             for feature in FeatureSchema.load(str(folder)).item}
    shown = sorted(rows, key=lambda row: (row["timestamp"], row["impression_id"]), reverse=True)
    of_row, compared = {row["impression_id"]: row for row in rows}, 0
    for record in (record for found in records(folder).values() for record in found):
        moments = record[f"{UNCLICKED}_timestamp"]
        items = list(zip(*([words[name][number] for number in record[f"{UNCLICKED}_{name}"]] for name in names),
                         strict=True))
        for place, number in enumerate(record["impression_id"]):
            row, offset = of_row[number], record[f"{UNCLICKED}_offset"][place]
            cutoff = row["timestamp"] - gap
            if snapshot == "day":
                cutoff -= (cutoff + 8 * 3600) % 86_400
            before = [other for other in shown
                      if other["user"] == row["user"] and not other["label"] and other["timestamp"] < cutoff][:LENGTH]
            assert moments[offset:offset + LENGTH] == [other["timestamp"] for other in before]
            assert all(moment < row["timestamp"] for moment in moments[offset:])
            assert items[offset:offset + LENGTH] == [tuple(
                other[name] if other[name] in words[name] else "OOV" for name in names) for other in before]
            compared += len(before) == LENGTH
    assert compared > 20


def test_without_the_setting_there_is_none(tmp_path):
    logs = write_events(tmp_path / "logs", random_events(1))
    folder = prepared(write_events(logs, ROWS, "user,at,clicked,author", "shown.csv"), SHOWN)
    assert UNCLICKED not in FeatureSchema.load(str(folder)).histories
    assert "unclicked" not in (folder / "preparation.json").read_text()


def test_drawn_negatives_were_shown_to_nobody(tmp_path):
    with pytest.raises(InputError, match="unclicked_length=4: what was not clicked is drawn for these logs"):
        prepared(write_events(tmp_path / "logs", random_events(1)), EVENTS_ONLY, preparation=WITH)
