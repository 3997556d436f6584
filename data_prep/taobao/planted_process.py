"""The random process behind generated Taobao logs: keys, ads, clicks and behaviour.

It knows topics and users, no model. Topics are shared by both domains, (cate, brand) keys are not. Users, their visits
and what they do follow `data_prep.generating.planted_interests`; the ads shown at a visit are clicked according to the
lasting affinity, tilted a little towards the visit's focus. Older source events reflect interests rarely, cover
interests that the latest events do not show, and are told from noise by their behaviour type (btag).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_prep.generating import planted_interests as planted
from data_prep.generating.planted_interests import DAY, QUANTILES, Users, pick, quantile_table
from data_prep.taobao.generator_config import GeneratorConfig

FIRST_IMPRESSION = 1_494_000_000  # 2017-05-06 00:00:00 in UTC+8
IMPRESSION_DAYS = 8
LOG_DAYS = 22
FIRST_EVENT = FIRST_IMPRESSION - (LOG_DAYS - IMPRESSION_DAYS) * DAY  # 2017-04-22
FIRST_SOURCE_CATEGORY = 2_000
BTAGS = ("pv", "cart", "fav", "buy")
# Interest events are bought, kept and put into carts far more often than trend events; over all events about 95 % are
# views, as in the real log.
BTAG_SHARES = {True: (0.70, 0.14, 0.10, 0.06), False: (0.985, 0.007, 0.005, 0.003)}
PAGE_SIZES = (3, 10)
SMALL_PAGE_SHARE = 0.6
EXTRA_PAGES_PER_VISIT = 0.1


@dataclasses.dataclass(frozen=True)
class World:
    """What all users share. Keys: the source keys first, then the target keys; key k of a domain has topic k mod T.

    Attributes:
      cate, brand, topic: `[keys]` int64.
      ad_key: `[ads]` key of every ad; target ads first; `ad_quality` `[ads]` is added to the click logit.
      num_target_ads: ads of the target domain.
      trend: `[LOG_DAYS, 4096]` topic of every popularity quantile of a day.
      second_of_day: `[4096]` quantiles of the hour-of-day law in seconds.
    """

    config: GeneratorConfig
    cate: np.ndarray
    brand: np.ndarray
    topic: np.ndarray
    ad_key: np.ndarray
    ad_quality: np.ndarray
    num_target_ads: int
    trend: np.ndarray
    second_of_day: np.ndarray


@dataclasses.dataclass(frozen=True)
class Impressions:
    """Ads shown: `user` (index in the chunk), `timestamp`, `ad`, `pid` 0/1, `clicked`, `probability`, each `[n]`."""

    user: np.ndarray
    timestamp: np.ndarray
    ad: np.ndarray
    pid: np.ndarray
    clicked: np.ndarray
    probability: np.ndarray


@dataclasses.dataclass(frozen=True)
class Events:
    """Behaviour: `user` (index in the chunk), `timestamp`, `key`, `btag` (index), `from_interest`, each `[n]`."""

    user: np.ndarray
    timestamp: np.ndarray
    key: np.ndarray
    btag: np.ndarray
    from_interest: np.ndarray


def make_world(config: GeneratorConfig, rng: np.random.Generator) -> World:
    """Draws keys, ads and trends.

    Args:
      config: sizes.
      rng: source of every draw.

    Returns:
      The world of all users.
    """
    source, target, topics = config.num_source_keys, config.num_target_keys, config.num_topics
    cate = np.concatenate([rng.permutation(np.arange(FIRST_SOURCE_CATEGORY, 12_977))[:source],
                           rng.permutation(np.arange(1, FIRST_SOURCE_CATEGORY))[:target]])
    brands = rng.permutation(461_528)[:config.num_brands] + 1
    brand = brands[rng.integers(config.num_brands, size=source + target)]
    topic = np.concatenate([np.arange(source), np.arange(target)]) % topics
    target_ads = config.ads_per_target_key * target
    ad_key = np.concatenate([source + np.arange(target_ads) % target, np.arange(config.num_source_ads) % source])
    trend = planted.topic_trends(rng, LOG_DAYS, topics, config.trend_strength, config.trend_persistence)
    return World(config, cate, brand, topic, ad_key, rng.normal(0, config.ad_quality_std, len(ad_key)), target_ads,
                 trend, planted.hours_of_day())


def _ads_of_topic(rng: np.random.Generator, world: World, topic: np.ndarray, is_source: np.ndarray) -> np.ndarray:
    """A uniform ad of the topic in its domain; ads of topic t are t, t + T, t + 2T ... in either domain."""
    total = np.where(is_source, len(world.ad_key) - world.num_target_ads, world.num_target_ads)
    total = np.where(is_source, np.minimum(total, world.config.num_source_keys), world.config.num_target_keys)
    place = planted.of_topic(rng, topic, world.config.num_topics, total)
    copies = rng.integers(world.config.ads_per_target_key, size=len(topic)) * world.config.num_target_keys
    return np.where(is_source, world.num_target_ads + place, place + copies)


def _draw_impressions(world: World, users: Users, rng: np.random.Generator) -> Impressions:
    config = world.config
    pages, page_time = planted.draw_pages(rng, users, EXTRA_PAGES_PER_VISIT)
    sizes = np.where(rng.random(len(pages)) < SMALL_PAGE_SHARE, *PAGE_SIZES)
    page = np.repeat(np.arange(len(pages)), sizes)
    visit = pages[page]
    user = users.visit_user[visit]
    is_source = rng.random(len(page)) < config.source_ad_share
    slot = pick(rng, users.affinity[user])
    ad = _ads_of_topic(rng, world, users.interests[user, slot], is_source)
    redraw = np.flatnonzero(rng.random(len(page)) >= config.targeted_share)
    while True:
        low = np.where(is_source[redraw], world.num_target_ads, 0)
        high = np.where(is_source[redraw], len(world.ad_key), world.num_target_ads)
        ad[redraw] = rng.integers(low, high)
        redraw = planted.repeats_on_page(page, ad, len(world.ad_key))
        if not len(redraw):
            break
    liking = planted.liking(users, visit, world.topic[world.ad_key[ad]], config.click_focus_weight)
    logit = config.click_intercept + config.click_slope * liking + world.ad_quality[ad]
    probability = 1 / (1 + np.exp(-logit))
    pid = (rng.random(len(pages)) < 0.38)[page]
    clicked = rng.random(len(page)) < probability
    return Impressions(user, page_time[page], ad, pid.astype(np.int64), clicked, probability)


def _draw_domain_events(world: World, users: Users, is_target: bool, rng: np.random.Generator) -> Events:
    config = world.config
    near, far, far_share = ((config.focus_target_events, config.background_target_events, config.focus_interest_share)
                            if is_target else (config.focus_source_events, config.background_source_events,
                                               config.background_interest_share))
    activity = planted.draw_activity(rng, users, world.trend, FIRST_EVENT, world.second_of_day, near, far,
                                     config.focus_interest_share, far_share)
    keys = config.num_target_keys if is_target else config.num_source_keys
    key = planted.of_topic(rng, activity.topic, config.num_topics, keys)
    tables = np.concatenate([quantile_table(np.array(BTAG_SHARES[flag])) for flag in (False, True)])
    btag = tables[activity.from_interest.astype(np.int64), rng.integers(QUANTILES, size=len(key))]
    return Events(activity.user, activity.timestamp, key + (config.num_source_keys if is_target else 0), btag,
                  activity.from_interest)


def draw_users(world: World, count: int, rng: np.random.Generator) -> tuple[Impressions, Events]:
    """Draws everything that `count` users see and do.

    Args:
      world: what all users share.
      count: users.
      rng: source of every draw.

    Returns:
      Impressions in no particular order and behaviour events in random order, duplicates and users without events
      included.
    """
    config = world.config
    users = planted.draw_users(
        rng, count, config.num_topics, config.interests_per_user, config.focus_interests, config.focus_persistence,
        config.visits_per_user, FIRST_IMPRESSION, IMPRESSION_DAYS, world.second_of_day)
    impressions = _draw_impressions(world, users, rng)
    domains = [_draw_domain_events(world, users, is_target, rng) for is_target in (False, True)]
    columns = [np.concatenate([getattr(domain, field.name) for domain in domains])
               for field in dataclasses.fields(Events)]
    kept = np.flatnonzero(rng.random(count)[columns[0]] >= world.config.no_event_share)
    repeated = kept[rng.random(len(kept)) < world.config.duplicate_share]
    order = rng.permutation(np.concatenate([kept, repeated]))
    return impressions, Events(*(column[order] for column in columns))
