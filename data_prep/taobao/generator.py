"""Generated logs in exactly the format of Taobao "Ad Display/Click Data" (Tianchi 56), with planted interests.

`generate` writes `raw_sample.csv`, `ad_feature.csv`, `user_profile.csv` and `behavior_log.csv` with the quirks of the
real files, and beside them `true_probability.csv`: the click probability of every data row of `raw_sample.csv`, from
which the best attainable AUC follows. No model may read that file as an input. The process is in `planted_process`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from data_prep.generating.log_folder import appearing_together
from data_prep.generating.log_text import LINE_ENDS, csv_rows, probability_texts
from data_prep.taobao import planted_process as process
from data_prep.taobao.generator_config import GeneratorConfig

__all__ = ["FILES", "TRUE_PROBABILITY_FILE", "GeneratorConfig", "generate"]

FILES = {
    "raw_sample.csv": "user,time_stamp,adgroup_id,pid,nonclk,clk",
    "ad_feature.csv": "adgroup_id,cate_id,campaign_id,customer,brand,price",
    # The last header cell of the real file ends in a space.
    "user_profile.csv": ("userid,cms_segid,cms_group_id,final_gender_code,age_level,pvalue_level,shopping_level,"
                         "occupation,new_user_class_level "),
    "behavior_log.csv": "user,time_stamp,btag,cate,brand",
}
TRUE_PROBABILITY_FILE = "true_probability.csv"
PIDS = ("430548_1007", "430539_1007")
# Part of what a seed means: another value draws other logs.
USERS_PER_CHUNK = 2_000
# One impression as it waits to be sorted by ad.
_IMPRESSION = np.dtype([("user", np.int32), ("timestamp", np.int32), ("adgroup_id", np.int32), ("pid", np.int8),
                        ("clicked", np.int8), ("probability", np.float64)])


def _price(price: float) -> str:
    """Text of a price as the real file has it: `170.0`, `32.99`, `1.0E8`."""
    return repr(round(price, 2)) if price < 1e7 else f"{price:.1E}".replace("E+0", "E")


def _ad_feature(world: process.World, adgroup_id: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    ads, config = len(adgroup_id), world.config
    customer = np.sort(rng.integers(1, max(2, ads // 3), size=ads))
    campaign = customer * 2 - rng.integers(2, size=ads)
    order = rng.permutation(ads)  # ads of one customer, whatever their topics
    key = world.ad_key[order]
    brand = np.where(rng.random(ads) < config.null_brand_share, "NULL", world.brand[key].astype(str))
    price = np.maximum(0.01, np.exp(rng.normal(4.7, 1.4, size=ads)))
    price = np.where(rng.random(ads) < 0.6, np.ceil(price), price)
    price[rng.random(ads) < 0.002] = 1e8
    return [adgroup_id[order], world.cate[key], campaign, customer, brand,
            np.array([_price(value) for value in price.tolist()])]


def _user_profile(config: GeneratorConfig, users: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    users = users[rng.random(len(users)) >= config.no_profile_share]
    count = len(users)
    gender = rng.choice([1, 2], p=[0.36, 0.64], size=count)
    age = np.where(gender == 2, rng.integers(7, size=count), rng.integers(1, 7, size=count))
    group = np.where(gender == 2, age, 6 + age)
    value = np.array(["", "1", "2", "3"])[rng.choice(4, p=[0.542, 0.146, 0.276, 0.036], size=count)]
    segment = np.where(rng.random(count) < 0.5, 0, rng.integers(1, 97, size=count))
    shopping = rng.choice([1, 2, 3], p=[0.08, 0.12, 0.80], size=count)
    occupation = rng.random(count) < 0.06
    new_user = np.array(["", "1", "2", "3", "4"])[rng.choice(5, p=[0.325, 0.076, 0.305, 0.163, 0.131], size=count)]
    return [users, segment, group, gender, age, value, shopping, occupation.astype(np.int64), new_user]


def _behavior_log(world: process.World, first_user: int, events: process.Events) -> list[np.ndarray]:
    return [first_user + events.user, events.timestamp, np.array(process.BTAGS)[events.btag], world.cate[events.key],
            world.brand[events.key]]


def _raw_sample(rows: np.ndarray) -> list[np.ndarray]:
    clicked = rows["clicked"].astype(np.int64)
    return [rows["user"], rows["timestamp"], rows["adgroup_id"], np.array(PIDS)[rows["pid"]], 1 - clicked, clicked]


def _packed(impressions: process.Impressions, first_user: int, adgroup_id: np.ndarray) -> np.ndarray:
    rows = np.empty(len(impressions.user), _IMPRESSION)
    rows["user"] = first_user + impressions.user
    rows["adgroup_id"] = adgroup_id[impressions.ad]
    for name in ("timestamp", "pid", "clicked", "probability"):
        rows[name] = getattr(impressions, name)
    return rows


def generate(output_dir: str | os.PathLike[str], config: GeneratorConfig) -> None:
    """Writes the four logs and `true_probability.csv` into `output_dir`.

    Users are drawn and written in chunks; only the impressions stay in memory (22 bytes each) to be sorted by ad, so
    memory does not grow with the behaviour log. Files appear under their names when all of them are whole.

    Args:
      output_dir: created if missing; files of the same names are replaced.
      config: sizes, process and quirks. The same config writes the same bytes.

    Raises:
      OSError: `output_dir` cannot be written.
    """
    with appearing_together(os.fspath(output_dir), (*FILES, TRUE_PROBABILITY_FILE)) as folder:
        _write_logs(folder, config)


def _write_logs(folder: str, config: GeneratorConfig) -> None:
    line_end = LINE_ENDS[config.line_end]

    def write(name: str, mode: str, columns: Sequence[np.ndarray], header: str = "") -> None:
        with open(os.path.join(folder, name), mode) as file:
            if header:
                file.write(header.encode() + line_end)
            if columns:
                file.write(csv_rows(columns, line_end))

    rng = np.random.default_rng([config.seed, 0])
    world = process.make_world(config, rng)
    adgroup_id = rng.permutation(len(world.ad_key)) + 1
    for name, header in FILES.items():
        write(name, "wb", (), header)
    write("ad_feature.csv", "ab", _ad_feature(world, adgroup_id, rng))
    chunks = []
    for chunk, start in enumerate(range(0, config.num_users, USERS_PER_CHUNK)):
        rng_chunk = np.random.default_rng([config.seed, 1, chunk])
        count = min(USERS_PER_CHUNK, config.num_users - start)
        impressions, events = process.draw_users(world, count, rng_chunk)
        chunks.append(_packed(impressions, start + 1, adgroup_id))
        write("behavior_log.csv", "ab", _behavior_log(world, start + 1, events))
        write("user_profile.csv", "ab", _user_profile(config, np.arange(start + 1, start + 1 + count), rng_chunk))
    rows = rng.permutation(np.concatenate(chunks))
    rows = rows[np.argsort(rows["adgroup_id"], kind="stable")]
    write(TRUE_PROBABILITY_FILE, "wb", (), "impression_id,probability")
    for start in range(0, len(rows), 1_000_000):
        part = rows[start:start + 1_000_000]
        write("raw_sample.csv", "ab", _raw_sample(part))
        ids = np.arange(start, start + len(part))
        write(TRUE_PROBABILITY_FILE, "ab", [ids, probability_texts(part["probability"])])
