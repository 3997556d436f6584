"""Reads the four files of Tianchi data set 56 as canonical tables, with all their quirks (DATA.md).

Line ends LF or CRLF; header cells padded with spaces; `NULL` and empty cells; integers written `95471.0`; `pv` or
`ipv`; `user` or `nick`; `nonclk` or `noclk`; `behavior_log.csv` or `raw_behavior_log.csv`.
"""

from __future__ import annotations

import dataclasses

import ibis
import ibis.expr.types as ir

from data_prep.accounting import REASON, RowCounts, number_of_rows, used_rows
from data_prep.csv_files import Check, CsvColumn, CsvFormat
from data_prep.description import Source
from data_prep.errors import InputError
from data_prep.log_reader import LogReader
from data_prep.taobao.behaviors import BEHAVIORS
from data_prep.taobao.config import PRICE_BOUNDARIES, PROFILE_FIELDS, TaobaoConfig, describe

# A missing brand or profile cell is a value of its own: 29 % of the ads and half of the pvalue levels lack one.
MISSING = -1

RAW_SAMPLE = CsvFormat(("raw_sample.csv",), (
    CsvColumn("user", "integer", ("nick", "userid")), CsvColumn("time_stamp", "integer"),
    CsvColumn("adgroup_id", "integer"), CsvColumn("pid", "text"), CsvColumn("nonclk", "integer", ("noclk",)),
    CsvColumn("clk", "integer")), (
    Check("clk", lambda table: ~(table.clk.isin([0, 1]) & table.nonclk.isin([0, 1])) | (table.clk == table.nonclk),
          "0 with nonclk 1 or 1 with nonclk 0"),))
AD_FEATURE = CsvFormat(("ad_feature.csv",), (
    CsvColumn("adgroup_id", "integer"), CsvColumn("cate_id", "integer", ("cate",)), CsvColumn("campaign_id", "integer"),
    CsvColumn("customer", "integer"), CsvColumn("brand", "integer", optional=True), CsvColumn("price", "number")))
USER_PROFILE = CsvFormat(("user_profile.csv",), (
    CsvColumn("userid", "integer", ("user", "nick")),
    *(CsvColumn(name, "integer", optional=True) for name in PROFILE_FIELDS)))
BEHAVIOR_LOG = CsvFormat(("behavior_log.csv", "raw_behavior_log.csv"), (
    CsvColumn("user", "integer", ("nick", "userid")), CsvColumn("time_stamp", "integer"), CsvColumn("btag", "text"),
    CsvColumn("cate", "integer", ("cate_id",)), CsvColumn("brand", "integer", optional=True)))

FORMATS = {"raw_sample": RAW_SAMPLE, "ad_feature": AD_FEATURE, "user_profile": USER_PROFILE,
           "behavior_log": BEHAVIOR_LOG}

@dataclasses.dataclass(frozen=True)
class TaobaoFiles:
    """The paths of the four files."""

    raw_sample: str
    ad_feature: str
    user_profile: str
    behavior_log: str


def find_files(input_dir: str) -> TaobaoFiles:
    """Finds the four files and checks their headers.

    Raises:
      InputError: a file is missing, empty or has another header.
    """
    return TaobaoFiles(**{name: file.find(input_dir) for name, file in FORMATS.items()})


def load_tables(logs: LogReader, files: TaobaoFiles) -> dict[str, ir.Table]:
    """Reads the four files; see `LogReader.load` for the columns and the errors."""
    return {name: logs.load(getattr(files, name), file, name) for name, file in FORMATS.items()}


def read(logs: LogReader, files: TaobaoFiles, config: TaobaoConfig, deduplicate: bool) -> Source:
    """The canonical tables of the Taobao log.

    Raises:
      InputError: a file that cannot be read, or no impression to use.
    """
    raw = load_tables(logs, files)
    ads, ads_repeated = _first_rows(raw["ad_feature"], "adgroup_id")
    profiles, profiles_repeated = _first_rows(raw["user_profile"], "userid")

    shown = logs.store("shown", _impressions(raw["raw_sample"], ads, config))
    shown_counts = logs.count(files.raw_sample, shown)
    if not shown_counts.used:
        raise InputError(
            f"{files.raw_sample}: no {'' if config.row_set == 'all' else f'{config.row_set}-domain '}impression in the "
            f"{config.num_days} days from {config.first_day} (target domain: cate_id < "
            f"{config.target_category_below}); rows dropped: {dict(shown_counts.dropped)}")
    impressions = used_rows(shown)
    shown_users = impressions.select("user").distinct()

    acted = _events(raw["behavior_log"], shown_users, config)
    if deduplicate:
        identical = used_rows(acted).group_by("user", "timestamp", "btag", "cate", "brand")
        firsts = identical.agg(first_row=lambda table: table.row.min()).select("first_row")
        joined = acted.left_join(firsts, acted.row == firsts.first_row)
        repeated = joined[REASON].isnull() & joined.first_row.isnull()
        acted = logs.store("acted", joined.mutate(
            repeated.ifelse("repeats an earlier row", joined[REASON]).name(REASON)).drop("first_row"))

    used_ads = impressions.select("adgroup_id").distinct()
    known_users = shown_users.inner_join(profiles, shown_users.user == profiles.userid)
    return Source(
        description=describe(config),
        impressions=impressions,
        events=used_rows(acted),
        users=_users(shown_users, profiles),
        rows=(shown_counts,
              logs.counts(files.ad_feature, _table_counts(
                  raw["ad_feature"], used_ads, ads_repeated, "ad of no used impression")),
              logs.counts(files.user_profile, _table_counts(
                  raw["user_profile"], known_users, profiles_repeated, "user of no used impression")),
              logs.count(files.behavior_log, acted)),
        facts={"users_without_profile": number_of_rows(shown_users) - number_of_rows(known_users)})


def _first_rows(table: ir.Table, key: str) -> tuple[ir.Table, int]:
    """The first row of each key, and how many further rows there were."""
    firsts = table.group_by(key).agg(row=table.row.min()).select("row")
    kept = table.semi_join(firsts, "row")
    return kept, number_of_rows(table) - number_of_rows(firsts)


def _impressions(raw_sample: ir.Table, ads: ir.Table, config: TaobaoConfig) -> ir.Table:
    """raw_sample joined with its ads, with the reason why a row is not used."""
    ads = ads.select(
        ad="adgroup_id", cate="cate_id", campaign_id="campaign_id", customer="customer", brand=_brand(ads),
        price_bucket=sum((ads.price >= boundary).cast("int64") for boundary in PRICE_BOUNDARIES))
    table = raw_sample.left_join(ads, raw_sample.adgroup_id == ads.ad)
    outside = (table.time_stamp < config.day_start(0)) | (table.time_stamp >= config.day_start(config.num_days))
    branches = [(table.time_stamp <= 0, "timestamp not positive"), (outside, "outside the selected days"),
                (table.ad.isnull(), "ad not in ad_feature")]
    if config.row_set == "target":
        branches.append((table.cate >= config.target_category_below, "ad not of the target domain"))
    elif config.row_set == "source":
        branches.append((table.cate < config.target_category_below, "ad of the target domain"))
    return table.select(
        "user", "cate", "brand", "adgroup_id", "campaign_id", "customer", "price_bucket", "pid", impression_id="row",
        timestamp="time_stamp", label="clk", **{REASON: ibis.cases(*branches)})


def _events(behavior_log: ir.Table, shown_users: ir.Table, config: TaobaoConfig) -> ir.Table:
    """behavior_log with its domain, and the reason why a row is not used."""
    users = shown_users.select(shown_user="user")
    table = behavior_log.left_join(users, behavior_log.user == users.shown_user)
    btag = table.btag.strip()
    table = table.mutate(btag=(btag == "ipv").ifelse("pv", btag))
    branches = [
        (table.time_stamp <= 0, "timestamp not positive"),
        (table.time_stamp >= config.day_start(config.num_days), "after the selected days"),
        (~table.btag.isin(BEHAVIORS), "unknown behaviour"),
        (~table.btag.isin(config.behaviors), "behaviour not selected"),
        (table.shown_user.isnull(), "user without used impression")]
    if config.row_set == "source":
        branches.append((table.cate < config.target_category_below, "behaviour of the target domain"))
    domain = (table.cate < config.target_category_below).ifelse("target", "source")
    return table.select("row", "user", "btag", "cate", timestamp="time_stamp", brand=_brand(table), domain=domain,
                        **{REASON: ibis.cases(*branches)})


def _users(shown_users: ir.Table, profiles: ir.Table) -> ir.Table:
    """A row for every user of an impression; the cells of those without profile are missing."""
    table = shown_users.left_join(profiles, shown_users.user == profiles.userid)
    cells = {name: ibis.coalesce(table[name], MISSING).cast("int64") for name in PROFILE_FIELDS}
    return table.select("user", user_id="user", **cells)


def _brand(table: ir.Table) -> ir.Value:
    return ibis.coalesce(table.brand, MISSING).cast("int64")


def _table_counts(table: ir.Table, used: ir.Table, repeated: int, reason: str) -> RowCounts:
    """Accounts for a side table with one row per key, of which `used` are needed."""
    read_rows, used_count = number_of_rows(table), number_of_rows(used)
    dropped = {reason: read_rows - repeated - used_count, "repeats an earlier key": repeated}
    return RowCounts("", used_count, {why: count for why, count in dropped.items() if count})
