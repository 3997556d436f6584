"""The random process behind generated Taobao logs: topics, interests, visits, clicks and behaviour.

It knows topics and users, no model. Topics are shared by both domains, (cate, brand) keys are not. A user has a few
lasting interests. A visit brings some of them to mind, mostly the same ones for days: in the hours before it about half
of the user's events in both domains are about those (the premise of CRP), and the ads shown then are clicked according
to the lasting affinity, tilted a little towards the visit's focus. Everything else the user does in the source domain
follows trends: topic popularity that drifts from day to day, the same for all users. Older source events therefore
reflect interests rarely, cover interests that the latest events do not show, and are told from noise by their
behaviour type (btag).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_prep.taobao.generator_config import GeneratorConfig

DAY = 86_400
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
FOCUS_SECONDS = 3 * 3_600
_HOURS = np.array([8, 4, 3, 2, 2, 3, 6, 12, 20, 28, 32, 30, 30, 32, 32, 32, 30, 28, 30, 36, 44, 48, 36, 18], float)
_TABLE = 4_096


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


def _quantile_table(weights: np.ndarray) -> np.ndarray:
    """Categories by quantile: drawing a uniform position of the `[..., 4096]` table draws a category by weight."""
    cumulative = np.cumsum(weights, axis=-1) / np.sum(weights, axis=-1, keepdims=True)
    middles = (np.arange(_TABLE) + 0.5) / _TABLE
    return np.stack([np.searchsorted(row, middles) for row in np.atleast_2d(cumulative)]).astype(np.int16)


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
    popularity = np.empty((LOG_DAYS, topics))
    state = rng.normal(size=topics)
    for day in range(LOG_DAYS):
        popularity[day] = state
        fresh = np.sqrt(1 - config.trend_persistence**2)
        state = config.trend_persistence * state + fresh * rng.normal(size=topics)
    hours = _quantile_table(_HOURS)[0].astype(np.int64)
    within = np.arange(_TABLE) - np.searchsorted(hours, hours)
    seconds = hours * 3_600 + within * 3_600 // np.bincount(hours)[hours]
    return World(config, cate, brand, topic, ad_key, rng.normal(0, config.ad_quality_std, len(ad_key)), target_ads,
                 _quantile_table(np.exp(config.trend_strength * popularity)), seconds)


def _pick(rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """One column index per row of `[n, m]` weights that sum to one, drawn by weight."""
    chosen = np.sum(np.cumsum(weights, axis=1) < rng.random((len(weights), 1)), axis=1)
    return np.minimum(chosen, weights.shape[1] - 1)


def _moments(rng: np.random.Generator, world: World, count: int, days: int) -> np.ndarray:
    """`[count]` seconds since the start of the first of `days` days, by the hour-of-day law."""
    second = world.second_of_day[rng.integers(_TABLE, size=count)] + rng.integers(60, size=count)
    return rng.integers(days, size=count) * DAY + np.minimum(second, DAY - 1)


@dataclasses.dataclass(frozen=True)
class _Users:
    """Users of a chunk and their visits: `focus` `[visits, J]` is the affinity at a visit over the user's interests."""

    interests: np.ndarray
    affinity: np.ndarray
    visit_user: np.ndarray
    visit_time: np.ndarray
    focus: np.ndarray


def _draw_focus(rng: np.random.Generator, affinity: np.ndarray, focus_interests: int) -> np.ndarray:
    """`[n, J]` affinities restricted to `focus_interests` of the J interests and scaled to sum to one."""
    # The Gumbel trick draws without replacement, by affinity.
    keys = np.log(affinity + 1e-12) + rng.gumbel(size=affinity.shape)
    in_focus = np.argsort(np.argsort(-keys, axis=1), axis=1) < focus_interests
    focus = np.where(in_focus, affinity + 1e-12, 0.0)
    return focus / focus.sum(axis=1, keepdims=True)


def _draw_users(world: World, count: int, rng: np.random.Generator) -> _Users:
    config = world.config
    interests = np.argsort(rng.random((count, config.num_topics)), axis=1)[:, :config.interests_per_user]
    affinity = rng.dirichlet(np.full(config.interests_per_user, 2.0), size=count)
    visit_user = np.repeat(np.arange(count), rng.poisson(config.visits_per_user, size=count))
    visits = len(visit_user)
    visit_time = FIRST_IMPRESSION + _moments(rng, world, visits, IMPRESSION_DAYS)
    # The last page of a visit must not fall after the last day.
    visit_time -= np.where(visit_time >= FIRST_IMPRESSION + IMPRESSION_DAYS * DAY - 1_200, 1_200, 0)
    # A visit keeps what is in the user's mind these days, or turns to other interests.
    focus = np.where(rng.random((visits, 1)) < config.focus_persistence,
                     _draw_focus(rng, affinity, config.focus_interests)[visit_user],
                     _draw_focus(rng, affinity[visit_user], config.focus_interests))
    return _Users(interests, affinity, visit_user, visit_time, focus)


def _ads_of_topic(rng: np.random.Generator, world: World, topic: np.ndarray, is_source: np.ndarray) -> np.ndarray:
    """A uniform ad of the topic in its domain; ads of topic t are t, t + T, t + 2T ... in either domain."""
    topics = world.config.num_topics
    total = np.where(is_source, len(world.ad_key) - world.num_target_ads, world.num_target_ads)
    total = np.where(is_source, np.minimum(total, world.config.num_source_keys), world.config.num_target_keys)
    keys_of_topic = (total - topic + topics - 1) // topics
    place = topic + topics * (rng.random(len(topic)) * keys_of_topic).astype(np.int64)
    copies = rng.integers(world.config.ads_per_target_key, size=len(topic)) * world.config.num_target_keys
    return np.where(is_source, world.num_target_ads + place, place + copies)


def _draw_impressions(world: World, users: _Users, rng: np.random.Generator) -> Impressions:
    config = world.config
    pages = np.repeat(np.arange(len(users.visit_user)), 1 + rng.poisson(EXTRA_PAGES_PER_VISIT, len(users.visit_user)))
    order = np.arange(len(pages)) - np.searchsorted(pages, pages)
    page_time = users.visit_time[pages] + 45 * np.minimum(order, 20)
    # Two pages of one user in one second would be one page load of another size.
    _, first = np.unique(np.stack([users.visit_user[pages], page_time], axis=1), axis=0, return_index=True)
    pages, page_time = pages[first], page_time[first]
    sizes = np.where(rng.random(len(pages)) < SMALL_PAGE_SHARE, *PAGE_SIZES)
    page = np.repeat(np.arange(len(pages)), sizes)
    visit = pages[page]
    user = users.visit_user[visit]
    is_source = rng.random(len(page)) < config.source_ad_share
    slot = _pick(rng, users.affinity[user])
    ad = _ads_of_topic(rng, world, users.interests[user, slot], is_source)
    redraw = np.flatnonzero(rng.random(len(page)) >= config.targeted_share)
    while True:
        low = np.where(is_source[redraw], world.num_target_ads, 0)
        high = np.where(is_source[redraw], len(world.ad_key), world.num_target_ads)
        ad[redraw] = rng.integers(low, high)
        # An ad appears once on a page: later copies are drawn again.
        cell = page * len(world.ad_key) + ad
        by_cell = np.argsort(cell, kind="stable")
        redraw = by_cell[1:][cell[by_cell[1:]] == cell[by_cell[:-1]]]
        if not len(redraw):
            break
    affinity = (1 - config.click_focus_weight) * users.affinity[user] + config.click_focus_weight * users.focus[visit]
    match = users.interests[user] == world.topic[world.ad_key[ad]][:, None]
    logit = (config.click_intercept + config.click_slope * np.sqrt(np.sum(affinity * match, axis=1))
             + world.ad_quality[ad])
    probability = 1 / (1 + np.exp(-logit))
    pid = (rng.random(len(pages)) < 0.38)[page]
    clicked = rng.random(len(page)) < probability
    return Impressions(user, page_time[page], ad, pid.astype(np.int64), clicked, probability)


def _draw_domain_events(world: World, users: _Users, is_target: bool, rng: np.random.Generator) -> Events:
    config = world.config
    near, far, far_share = ((config.focus_target_events, config.background_target_events, config.focus_interest_share)
                            if is_target else (config.focus_source_events, config.background_source_events,
                                               config.background_interest_share))
    visit = np.repeat(np.arange(len(users.visit_user)), rng.poisson(near, size=len(users.visit_user)))
    before = 1 + (FOCUS_SECONDS * rng.random(len(visit)) ** 2).astype(np.int64)
    # How much a user browses differs widely from user to user.
    activity = rng.gamma(3.0, far / 3.0, size=len(users.affinity))
    far_user = np.repeat(np.arange(len(users.affinity)), rng.poisson(activity))
    user = np.concatenate([users.visit_user[visit], far_user])
    timestamp = np.concatenate([users.visit_time[visit] - before,
                                FIRST_EVENT + _moments(rng, world, len(far_user), LOG_DAYS)])
    share = np.where(np.arange(len(user)) < len(visit), config.focus_interest_share, far_share)
    from_interest = rng.random(len(user)) < share
    topic = world.trend[(timestamp - FIRST_EVENT) // DAY, rng.integers(_TABLE, size=len(user))].astype(np.int64)
    near_rows, far_rows = np.flatnonzero(from_interest[:len(visit)]), len(visit) + np.flatnonzero(
        from_interest[len(visit):])
    for rows, weights in ((near_rows, users.focus[visit[near_rows]]), (far_rows, users.affinity[user[far_rows]])):
        topic[rows] = users.interests[user[rows], _pick(rng, weights)]
    keys = config.num_target_keys if is_target else config.num_source_keys
    of_topic = (keys - topic + config.num_topics - 1) // config.num_topics
    key = topic + config.num_topics * (rng.random(len(user)) * of_topic).astype(np.int64)
    tables = np.concatenate([_quantile_table(np.array(BTAG_SHARES[flag])) for flag in (False, True)])
    btag = tables[from_interest.astype(np.int64), rng.integers(_TABLE, size=len(user))]
    return Events(user, timestamp, key + (config.num_source_keys if is_target else 0), btag, from_interest)


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
    users = _draw_users(world, count, rng)
    impressions = _draw_impressions(world, users, rng)
    domains = [_draw_domain_events(world, users, is_target, rng) for is_target in (False, True)]
    columns = [np.concatenate([getattr(domain, field.name) for domain in domains])
               for field in dataclasses.fields(Events)]
    kept = np.flatnonzero(rng.random(count)[columns[0]] >= world.config.no_event_share)
    repeated = kept[rng.random(len(kept)) < world.config.duplicate_share]
    order = rng.permutation(np.concatenate([kept, repeated]))
    return impressions, Events(*(column[order] for column in columns))
