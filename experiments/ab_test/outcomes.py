"""What a simulated A/B test leaves: what every user did on every day, under each arm, and how long scoring took.

`outcomes.parquet` has one row for each user and day of each *population*, users without requests included (zeros):

| column | type | what |
|---|---|---|
| `population` | text | of the users and their arms, see below |
| `user` | int64, text of a real test | raw id |
| `day` | int64 | 0 is the first day of the test |
| `arm` | text | that served the user |
| `requests`, `impressions`, `clicks` | int64 | of the day |
| `stay_seconds` | float64 | in the rooms that were clicked |
| `before_impressions`, `before_clicks` | int64 | the user's totals over the days before the test |
| `before_stay_seconds` | float64 | likewise; these three are the same in every population and on every day |

Days go from 0 to the last one; a user without a row on some day did nothing. Nobody has more clicks than
impressions.

Populations: `split` is the A/B traffic; `split:own` the same traffic with nightly training of each arm on its own data;
`all:<arm>` are the same users, days and random numbers under that arm alone, the truth.

`latency.parquet` has one row for each scoring call that was timed: `arm`, `day`, `milliseconds`.
"""

from __future__ import annotations

from collections.abc import Sequence

OUTCOMES, LATENCY = "outcomes.parquet", "latency.parquet"

SPLIT = "split"
SPLIT_OWN = "split:own"
_ALONE = "all:"

BEFORE = {"before_impressions": "int64", "before_clicks": "int64", "before_stay_seconds": "float64"}
OUTCOME_COLUMNS = {
    "population": "str", "user": "id", "day": "int64", "arm": "str", "requests": "int64", "impressions": "int64",
    "clicks": "int64", "stay_seconds": "float64", **BEFORE}
LATENCY_COLUMNS = {"arm": "str", "day": "int64", "milliseconds": "float64"}


def alone(arm: str) -> str:
    """Name of the population in which an arm serves everybody."""
    return f"{_ALONE}{arm}"


def alone_arm(population: str) -> str | None:
    """The arm that serves everybody in a population; None where users are split."""
    return population.removeprefix(_ALONE) if population.startswith(_ALONE) else None


def populations_of(arms: Sequence[str], own: bool = False) -> tuple[str, ...]:
    """All populations of a test: the traffic, that of nightly training on own data if asked for, and the truths."""
    return (SPLIT, *([SPLIT_OWN] if own else []), *(alone(arm) for arm in arms))
