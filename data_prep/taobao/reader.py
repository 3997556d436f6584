"""Reads the four files of Tianchi data set 56 as canonical tables, with all their quirks.

Line ends LF or CRLF; header cells padded with spaces; `NULL` and empty cells; integers written `95471.0`; `pv` or
`ipv`; `user` or `nick`; `nonclk` or `noclk`; `behavior_log.csv` or `raw_behavior_log.csv`.
"""

from __future__ import annotations

import dataclasses

import ibis
import ibis.expr.types as ir

from data_prep.description import DOMAINS, Source
from data_prep.reading.accounting import REASON, number_of_rows, used_rows
from data_prep.reading.csv_files import Check, CsvColumn, CsvFormat
from data_prep.reading.drop_rules import DropRule, after_days, drop_reason, not_positive, of_1970, outside_days
from data_prep.reading.log_reader import LogReader
from data_prep.taobao.config import PRICE_BOUNDARIES, PROFILE_FIELDS, UTC_OFFSET, TaobaoConfig, describe
from data_prep.taobao_behaviors import BEHAVIORS

# A missing brand or profile cell is a value of its own: 29 % of the ads and half of the pvalue levels lack one.
MISSING = -1
_REPEATS = "repeats an earlier row"

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
    *(CsvColumn(name, "integer", optional=True) for name in PROFILE_FIELDS)), may_be_empty=True)
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
      InputError: a file that cannot be read, or of which no row is used.
    """
    raw = load_tables(logs, files)
    ads = _first_rows(raw["ad_feature"], "adgroup_id")

    shown, shown_rules = _impressions(raw["raw_sample"], ads, config)
    shown = logs.store("shown", shown)
    shown_counts = logs.count(
        files.raw_sample, shown, shown_rules,
        f"no {'' if config.row_set == 'all' else f'{config.row_set}-domain '}impression in the {config.num_days} days "
        f"from {config.first_day} (target domain: cate_id < {config.target_category_below})")
    impressions = used_rows(shown)
    shown_users = impressions.select("user").distinct()

    logs.compare_times(files.behavior_log, "time_stamp", config.splits["train"][0], UTC_OFFSET)
    acted, acted_rules = _events(raw["behavior_log"], shown_users, config)
    if deduplicate:
        identical = used_rows(acted).group_by("user", "timestamp", "btag", "cate", "brand")
        firsts = identical.agg(first_row=lambda table: table.row.min()).select("first_row")
        joined = acted.left_join(firsts, acted.row == firsts.first_row)
        repeated = joined[REASON].isnull() & joined.first_row.isnull()
        acted = logs.store("acted", joined.mutate(
            repeated.ifelse(_REPEATS, joined[REASON]).name(REASON)).drop("first_row"))

    used_ads, ad_rules = _listed(
        raw["ad_feature"], "adgroup_id", impressions.select(needed="adgroup_id").distinct(), "ad")
    profiles, profile_rules = _listed(raw["user_profile"], "userid", shown_users.select(needed="user"), "user")
    profile_counts = logs.count(files.user_profile, profiles, profile_rules, "no user of a used impression")
    return Source(
        description=describe(config),
        impressions=impressions,
        events=used_rows(acted),
        users=_users(shown_users, used_rows(profiles)),
        rows=(shown_counts, logs.count(files.ad_feature, used_ads, ad_rules, "no ad of a used impression"),
              profile_counts, logs.count(files.behavior_log, acted, acted_rules, "no behaviour to use")),
        facts={"users_without_profile": number_of_rows(shown_users) - profile_counts.used},
        domains=("source",) if config.row_set == "source" else DOMAINS)


def _first_rows(table: ir.Table, key: str) -> ir.Table:
    """The first row of each key."""
    return table.semi_join(table.group_by(key).agg(row=table.row.min()).select("row"), "row")


def _listed(table: ir.Table, key: str, needed: ir.Table, what: str) -> tuple[ir.Table, list[DropRule]]:
    """A table with a row for each key, with the reason why a row is not used, and the rules behind the reasons."""
    firsts = table.group_by(key).agg(first_row=table.row.min()).select("first_row")
    table = table.left_join(firsts, table.row == firsts.first_row)
    table = table.left_join(needed, table[key] == needed.needed)
    rules = [DropRule("repeats an earlier key", table.first_row.isnull(), key, f"each {what} once"),
             DropRule(f"{what} of no used impression", table.needed.isnull(), key, f"{what} of a used impression",
                      ordinary=True, like=needed.needed.min())]
    return table.mutate(drop_reason(rules).name(REASON)), rules


def _impressions(raw_sample: ir.Table, ads: ir.Table, config: TaobaoConfig) -> tuple[ir.Table, list[DropRule]]:
    """raw_sample joined with its ads and the reason why a row is not used, and the rules behind the reasons."""
    like = ads.adgroup_id.min()
    ads = ads.select(
        ad="adgroup_id", cate="cate_id", campaign_id="campaign_id", customer="customer", brand=_brand(ads),
        price_bucket=sum((ads.price >= boundary).cast("int64") for boundary in PRICE_BOUNDARIES))
    table = raw_sample.left_join(ads, raw_sample.adgroup_id == ads.ad)
    below, first, end = config.target_category_below, config.splits["train"][0], config.splits["test"][1]
    rules = [
        not_positive(table.time_stamp, "time_stamp"),
        outside_days(table.time_stamp, "time_stamp", first, end, UTC_OFFSET),
        DropRule("ad not in ad_feature", table.ad.isnull(), "adgroup_id", "an ad of ad_feature", like=like)]
    if config.row_set == "target":
        rules.append(DropRule("ad not of the target domain", table.cate >= below, "adgroup_id",
                              f"an ad whose cate_id is below {below}", ordinary=True))
    elif config.row_set == "source":
        rules.append(DropRule("ad of the target domain", table.cate < below, "adgroup_id",
                              f"an ad whose cate_id is at least {below}", ordinary=True))
    return table.select(
        "user", "cate", "brand", "adgroup_id", "campaign_id", "customer", "price_bucket", "pid", impression_id="row",
        timestamp="time_stamp", label="clk", **{REASON: drop_reason(rules)}), rules


def _events(behavior_log: ir.Table, shown_users: ir.Table, config: TaobaoConfig) -> tuple[ir.Table, list[DropRule]]:
    """behavior_log with its domain and the reason why a row is not used, and the rules behind the reasons."""
    users = shown_users.select(shown_user="user")
    table = behavior_log.left_join(users, behavior_log.user == users.shown_user)
    btag = table.btag.strip()
    table = table.mutate(btag=(btag == "ipv").ifelse("pv", btag))
    below = config.target_category_below
    rules = [
        not_positive(table.time_stamp, "time_stamp"),
        *of_1970(table.time_stamp, "time_stamp", config.splits["train"][0], UTC_OFFSET),
        after_days(table.time_stamp, "time_stamp", config.splits["test"][1], UTC_OFFSET),
        DropRule("unknown behaviour", ~table.btag.isin(BEHAVIORS), "btag", f"one of {', '.join(BEHAVIORS)}"),
        DropRule("behaviour not selected", ~table.btag.isin(config.behaviors), "btag",
                 f"one of {', '.join(config.behaviors)}", ordinary=True),
        DropRule("user without used impression", table.shown_user.isnull(), "user", "a user of a used impression",
                 ordinary=True, like=shown_users.user.min()),
        DropRule(_REPEATS, ibis.literal(False), "user", "a row only once", ordinary=True)]  # found by the caller
    if config.row_set == "source":
        rules.append(DropRule("behaviour of the target domain", table.cate < below, "cate",
                              f"a category of at least {below}", ordinary=True))
    domain = (table.cate < below).ifelse("target", "source")
    return table.select("row", "user", "btag", "cate", timestamp="time_stamp", brand=_brand(table), domain=domain,
                        **{REASON: drop_reason(rules)}), rules


def _users(shown_users: ir.Table, profiles: ir.Table) -> ir.Table:
    """A row for every user of an impression; the cells of those without profile are missing."""
    table = shown_users.left_join(profiles, shown_users.user == profiles.userid)
    cells = {name: ibis.coalesce(table[name], MISSING).cast("int64") for name in PROFILE_FIELDS}
    return table.select("user", user_id="user", **cells)


def _brand(table: ir.Table) -> ir.Value:
    return ibis.coalesce(table.brand, MISSING).cast("int64")
