"""The random process behind generated industrial-style logs: authors, videos watched, live rooms shown and clicked.

It knows topics and users, no model. Topics are shared by both domains; categories are not, and of the authors only a
few post videos and stream. Users, their visits and what they do follow `data_prep.generating.planted_interests`. The
rooms shown at a visit are clicked according to the lasting affinity, tilted a little towards the visit's focus. Older
videos reflect interests rarely, cover interests that the latest events do not show, and are told from noise by how
long they were watched and whether to the end. A clicked room is an event of the second after. A preset may also share
the categories, close rooms for new ones, make users unequally active and things unequally popular, or have rooms follow
videos. `planted_worlds` has the laws of presets in which a further part of a model pays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from data_prep.generating import planted_interests as planted
from data_prep.generating.planted_interests import DAY, Activity, Users
from data_prep.industrial import planted_worlds
from data_prep.industrial.generator_config import HISTORY_DAYS, Process
from data_prep.industrial.planted_popularity import Popularity, draw_popularity

FIRST_IMPRESSION = 1_704_038_400  # 2024-01-01 00:00:00 in UTC+8
FIRST_EVENT = FIRST_IMPRESSION - HISTORY_DAYS * DAY
PAGE_SIZES = (5, 8)  # smallest and largest number of rooms, or of videos, on a page
FEED_SHARE = 0.7  # of pages shown between videos; the others are the live tab
SECONDS_LOG_STD = 0.8  # lengths of videos and stays in rooms are log-normal
VIDEO_MEDIAN, VIDEO_RANGE = 30.0, (5, 300)
STAY_RANGE = (1, 7_200)
# Each for events that do not and that do reflect an interest. A video left early was watched for a power of a uniform
# share of its length.
FINISHED_SHARE = np.array([0.08, 0.5])
LEFT_EARLY_POWER = np.array([4.0, 1.0])
STAY_MEDIAN = np.array([15.0, 90.0])
NOT_A_VIDEO = -1  # `finished` of a room


@dataclasses.dataclass(frozen=True)
class World:
    """What all users share. Thing k of a kind (category, author, room) has topic k mod T.

    Attributes:
      process: sizes and process.
      video_category, live_category: `[categories]` raw ids.
      author: `[authors]` raw ids; the first `video_authors` per topic post videos, the last `live_authors` stream.
      room: `[rooms]` raw ids; `room_author` and `room_category` are raw ids too, `room_quality` is added to the logit.
      open_room: `[log_days, slots]` index of the room that is open in a slot; slot k has topic k mod T, as its rooms.
      slot_popularity, author_popularity: of the slots, and of the authors who post videos.
      trends: `[log_days, 4096]` topic of every popularity quantile of a day.
      second_of_day: `[4096]` quantiles of the hour-of-day law in seconds.
      room_laws: what rooms have in the laws of a world.
    """

    process: Process
    video_category: np.ndarray
    live_category: np.ndarray
    author: np.ndarray
    room: np.ndarray
    room_author: np.ndarray
    room_category: np.ndarray
    room_quality: np.ndarray
    open_room: np.ndarray
    slot_popularity: Popularity
    author_popularity: Popularity
    trends: np.ndarray
    second_of_day: np.ndarray
    room_laws: planted_worlds.RoomLaws


@dataclasses.dataclass(frozen=True)
class Impressions:
    """Rooms shown, each `[n]`.

    Attributes:
      user, room: indices.
      timestamp: seconds UTC.
      in_feed: bool, else on the live tab.
      liked: bool, the room's topic is one of the user's interests.
      clicked: bool.
      stay_seconds: 0 without a click.
      probability: of the click.
      scenario: place in `process.scenarios`; 0 without any.
      without: click probability by the same law without a world's mechanism; None where it changes no click.
      stay_probability: of a long stay, given the click; None without such a law.
    """

    user: np.ndarray
    room: np.ndarray
    timestamp: np.ndarray
    in_feed: np.ndarray
    liked: np.ndarray
    clicked: np.ndarray
    stay_seconds: np.ndarray
    probability: np.ndarray
    scenario: np.ndarray
    without: np.ndarray | None
    stay_probability: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Events:
    """Videos watched and rooms entered, each `[n]`.

    Attributes:
      user: index.
      timestamp: seconds UTC.
      is_live: bool, a room.
      author, category: raw ids.
      watch_seconds: time in the video or room.
      finished: 0 or 1, `NOT_A_VIDEO` for a room.
      topic: hidden from the logs, as is the next.
      from_interest: bool, reflects an interest.
      feedback: place in `planted_worlds.feedback_names`; not hidden.
    """

    user: np.ndarray
    timestamp: np.ndarray
    is_live: np.ndarray
    author: np.ndarray
    category: np.ndarray
    watch_seconds: np.ndarray
    finished: np.ndarray
    topic: np.ndarray
    from_interest: np.ndarray
    feedback: np.ndarray


def make_world(process: Process, rng: np.random.Generator) -> World:
    """Draws categories, authors, rooms and trends."""
    topics, days, slots = process.num_topics, process.log_days, process.num_topics * process.rooms
    rooms = slots * (days if process.room_turnover else 1)
    live, shared = process.live_authors, process.shared_authors
    if process.new_authors:
        live, shared = rooms // topics, 0
    category = rng.permutation(topics * (process.video_categories + process.live_categories)) + 1
    video_category, live_category = np.split(category, [topics * process.video_categories])
    if process.shared_categories:
        live_category = video_category[:len(live_category)]
    author = rng.permutation(topics * (process.video_authors + live - shared)) + 1
    room_author = author[len(author) - topics * live:][np.arange(rooms) % (topics * live)]
    topic = np.arange(rooms) % topics
    room_category = live_category[draw_categories(process, topic, len(live_category), rng)]
    trends = planted.topic_trends(rng, days, topics, process.trend_strength, process.trend_persistence)
    room, quality = rng.permutation(rooms) + 1, rng.normal(0, process.room_quality_std, rooms)
    popularity = [draw_popularity(rng, days, things, topics, process.popularity_exponent,
                                  process.popularity_persistence) for things in (slots, topics * process.video_authors)]
    return World(process, video_category, live_category, author, room, room_author, room_category, quality,
                 _open_rooms(days, slots, process.room_turnover, rng), *popularity, trends, planted.hours_of_day(),
                 planted_worlds.draw_room_laws(process, rooms, rng))


def draw_categories(process: Process, topic: np.ndarray, categories: int, rng: np.random.Generator) -> np.ndarray:
    """`[n]` index of one of a kind's categories, of the topics `[n]` unless a preset says that they tell nothing."""
    if not process.categories_tell:
        return rng.integers(categories, size=len(topic))
    return planted.of_topic(rng, topic, process.num_topics, categories)


def _open_rooms(days: int, slots: int, turnover: float, rng: np.random.Generator) -> np.ndarray:
    """`[days, slots]` index of the room in each slot: every night a share of the slots gets a new room."""
    room = np.tile(np.arange(slots), (days, 1))
    for day in range(1, days if turnover else 1):
        room[day] = room[day - 1]
        closed = rng.permutation(slots)[:round(turnover * slots)]
        room[day, closed] = slots * day + closed
    return room


def day_of(timestamp: np.ndarray) -> np.ndarray:
    """Day of the log, from 0, of seconds UTC."""
    return (timestamp - FIRST_EVENT) // DAY


def draw_impressions(world: World, users: Users, taste: np.ndarray | None, rng: np.random.Generator,
                     sizes: tuple[int, int] = PAGE_SIZES) -> Impressions:
    """Draws the rooms of every page of the users' visits, page by page, and what the users do with each.

    Args:
      world: what all users share.
      users: whose visits.
      taste: of `draw_visitors`.
      rng: source of every draw.
      sizes: smallest and largest number of rooms on a page.
    """
    process = world.process
    pages, page_time = planted.draw_pages(rng, users, process.extra_pages_per_visit)
    page, slot = draw_candidates(process, users, pages, day_of(page_time), world.slot_popularity, rng, sizes)
    room = world.open_room[day_of(page_time)[page], slot]
    user = users.visit_user[pages[page]]
    scenario = planted_worlds.draw_scenarios(process, len(pages), rng)[page]
    liking, logit = click_logits(process, users, pages[page], room, world.room_quality)
    if process.scenarios:
        clicks = planted_worlds.clicks_by_scenario(
            process, world.room_laws, scenario, room, liking, world.room_quality[room], rng)
    elif process.fatigue:
        clicks = planted_worlds.clicks_with_fatigue(
            process, user, page, page_time, room % process.num_topics, logit, rng)
    else:
        probability = planted_worlds.sigmoid(logit)
        clicks = planted_worlds.Clicks(rng.random(len(room)) < probability, probability, None)
    liked = liking > 0
    in_feed = (rng.random(len(pages)) < FEED_SHARE)[page]
    seconds, stay_probability = _stays(world, users, taste, user, room, liked, rng)
    return Impressions(
        user, room, page_time[page], in_feed, liked, clicks.clicked, np.where(clicks.clicked, seconds, 0),
        clicks.probability, scenario, clicks.without, stay_probability)


def _stays(world: World, users: Users, taste: np.ndarray | None, user: np.ndarray, room: np.ndarray,
           from_interest: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
    """`[n]` seconds in rooms, and the probability that they are a long stay where there is a law of it."""
    if taste is None:
        return _stay_seconds(rng, from_interest & world.process.watching_tells), None
    probability = planted_worlds.stay_probability(world.process, world.room_laws, users, taste, user, room)
    return planted_worlds.draw_stays(world.process.stay_law, probability, rng), probability


def draw_candidates(process: Process, users: Users, pages: np.ndarray, day: np.ndarray, popularity: Popularity,
                    rng: np.random.Generator, sizes: tuple[int, int] = PAGE_SIZES) -> tuple[np.ndarray, np.ndarray]:
    """Fills pages with different things of a kind, some of topics picked by the user's affinity, the others of any.

    Args:
      process: of the preset.
      users: whose pages.
      pages: `[P]` visit of each page.
      day: `[P]` of the log.
      popularity: of the things of the kind.
      rng: source of every draw.
      sizes: smallest and largest number of things on a page.

    Returns:
      `page` and `thing` of each candidate, `[n]` indices.
    """
    page = np.repeat(np.arange(len(pages)), rng.integers(sizes[0], sizes[1] + 1, size=len(pages)))
    user = users.visit_user[pages[page]]
    interest = users.interests[user, planted.pick(rng, users.affinity[user])]
    thing = popularity.draw_of_topic(rng, interest, day[page])
    redraw = np.flatnonzero(rng.random(len(page)) >= process.targeted_share)
    while True:
        thing[redraw] = popularity.draw(rng, day[page[redraw]])
        redraw = planted.repeats_on_page(page, thing, popularity.things)
        if not len(redraw):
            return page, thing


def draw_clicks(process: Process, users: Users, visit: np.ndarray, thing: np.ndarray, quality: np.ndarray,
                rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws who clicks what, by lasting affinity.

    Args:
      process: of the preset.
      users: whose visits.
      visit: `[n]` of each candidate.
      thing: `[n]` shown; thing k has topic k mod T.
      quality: `[things]`, added to the logit.
      rng: source of every draw.

    Returns:
      `liked` (bool, the topic is one of the user's interests), `probability` and `clicked` (bool), each `[n]`.
    """
    liking, logit = click_logits(process, users, visit, thing, quality)
    probability = planted_worlds.sigmoid(logit)
    return liking > 0, probability, rng.random(len(visit)) < probability


def click_logits(process: Process, users: Users, visit: np.ndarray, thing: np.ndarray,
                 quality: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Square root of the affinity for each candidate and the logit of its click, `[n]`; arguments as `draw_clicks`."""
    liking = planted.liking(users, visit, thing % process.num_topics, process.click_focus_weight)
    return liking, process.click_intercept + process.click_slope * liking + quality[thing]


def _seconds(rng: np.random.Generator, median: np.ndarray, least: int, most: int) -> np.ndarray:
    """`[n]` log-normal seconds around their medians `[n]`."""
    return np.clip(median * np.exp(SECONDS_LOG_STD * rng.normal(size=len(median))), least, most)


def _stay_seconds(rng: np.random.Generator, from_interest: np.ndarray) -> np.ndarray:
    """`[n]` whole seconds that users stay in rooms they have entered."""
    return _seconds(rng, STAY_MEDIAN[from_interest.astype(np.int64)], *STAY_RANGE).astype(np.int64)


def _videos(world: World, activity: Activity, rng: np.random.Generator) -> Events:
    author = world.author[world.author_popularity.draw_of_topic(rng, activity.topic, day_of(activity.timestamp))]
    category = world.video_category[draw_categories(world.process, activity.topic, len(world.video_category), rng)]
    watched, finished = draw_watching(activity.from_interest & world.process.watching_tells, rng)
    return Events(activity.user, activity.timestamp, np.zeros(len(author), bool), author, category, watched,
                  finished.astype(np.int64), activity.topic, activity.from_interest, np.zeros(len(author), np.int8))


def draw_watching(from_interest: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How long videos are watched, by whether they reflect an interest: whole seconds, and whether to the end."""
    by_interest, count = from_interest.astype(np.int64), len(from_interest)
    length = _seconds(rng, np.full(count, VIDEO_MEDIAN), *VIDEO_RANGE)
    finished = rng.random(count) < FINISHED_SHARE[by_interest]
    watched = np.where(finished, length, length * rng.random(count) ** LEFT_EARLY_POWER[by_interest])
    return watched.astype(np.int64), finished


def rooms_entered(world: World, user: np.ndarray, timestamp: np.ndarray, room: np.ndarray, stay_seconds: np.ndarray,
                  from_interest: np.ndarray) -> Events:
    """The events of users `[n]` who enter rooms `[n]` (index) at seconds `[n]` for `stay_seconds` `[n]`."""
    return Events(user, timestamp, np.ones(len(user), bool), world.room_author[room], world.room_category[room],
                  stay_seconds, np.full(len(user), NOT_A_VIDEO), room % world.process.num_topics, from_interest,
                  np.zeros(len(user), np.int8))


@dataclasses.dataclass(frozen=True)
class Visitors:
    """Users with what their visits do not tell.

    Attributes:
      users: of the process.
      activity: `[U]` factor of their visits and background events.
      taste: `[U, J]` of long stays; None without such a law.
    """

    users: Users
    activity: np.ndarray
    taste: np.ndarray | None


def draw_visitors(world: World, count: int, rng: np.random.Generator) -> Visitors:
    """Draws `count` users and their visits."""
    process, activity = world.process, np.ones(count)
    if process.activity_exponent:
        activity = planted.power_law(rng, count, process.activity_exponent, process.activity_span)
    users = planted.draw_users(
        rng, count, process.num_topics, process.interests_per_user, process.focus_interests, process.focus_persistence,
        process.visits_per_user * activity, FIRST_IMPRESSION, process.impression_days,
        world.second_of_day)
    return Visitors(users, activity,
                    planted_worlds.draw_tastes(process.stay_law, users, rng) if process.stay_law else None)


def draw_own_events(world: World, visitors: Visitors, rng: np.random.Generator) -> tuple[Events, Events]:
    """Draws the videos that users watch and the rooms that they enter without being shown them."""
    process, users = world.process, visitors.users
    videos, lives = (planted.draw_activity(
        rng, users, world.trends, FIRST_EVENT, world.second_of_day, near, far, process.focus_interest_share, far_share)
        for near, far, far_share in (
            (process.focus_video_events, process.background_video_events * visitors.activity,
             process.background_interest_share),
            (process.focus_live_events, process.background_live_events * visitors.activity,
             process.focus_interest_share)))
    if process.followed_share:
        lives = planted.draw_followers(rng, videos, process.followed_share)
    entered = day_of(lives.timestamp)
    room = world.open_room[entered, world.slot_popularity.draw_of_topic(rng, lives.topic, entered)]
    watched = _videos(world, videos, rng)
    seconds, _ = _stays(world, users, visitors.taste, lives.user, room, lives.from_interest, rng)
    return watched, rooms_entered(world, lives.user, lives.timestamp, room, seconds, lives.from_interest)


def rooms_clicked(world: World, shown: Impressions, rows: np.ndarray) -> Events:
    """The events of the clicks among impressions, whose places are `rows`: each is of the second after."""
    return rooms_entered(world, shown.user[rows], shown.timestamp[rows] + 1, shown.room[rows],
                         shown.stay_seconds[rows], shown.liked[rows])


def in_order(parts: Sequence[Events]) -> Events:
    """Events in the order of time; of equal times in that of the parts."""
    columns = [np.concatenate([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(Events)]
    order = np.argsort(columns[1], kind="stable")
    return Events(*(column[order] for column in columns))


def draw_users(world: World, count: int, rng: np.random.Generator) -> tuple[Users, Impressions, Events]:
    """Draws `count` users, the rooms that they see and everything that they do.

    Args:
      world: what all users share.
      count: users.
      rng: source of every draw.

    Returns:
      The users; impressions page by page; events in the order of time.
    """
    visitors = draw_visitors(world, count, rng)
    shown = draw_impressions(world, visitors.users, visitors.taste, rng)
    own = draw_own_events(world, visitors, rng)
    events = in_order((*own, rooms_clicked(world, shown, np.flatnonzero(shown.clicked))))
    feedback = planted_worlds.draw_feedbacks(world.process.feedbacks, events.from_interest, rng)
    return visitors.users, shown, dataclasses.replace(events, feedback=feedback)
