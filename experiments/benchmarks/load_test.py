"""An export under load at fixed rates, with a new version in the middle; every answer is checked bit by bit.

    python -m experiments.benchmarks.load_test runs/demo/saved_model [--rates=50 --rates=100] [--requests=10000]

The argument is a folder of versions, as a server has it. Requests are those that the export has recorded, each of one
user, with their candidates repeated up to `--candidates_each`; they go through TensorFlow's C API from `--callers`
threads. Without `--rates` there are three: a quarter, a half and three quarters of what the callers answer without a
pause.

The load is open: the moments of arrival are drawn before the run (a Poisson process, the same for each seed), do not
wait for answers, and latency counts from them. A server that stands still for a second is thus charged for all requests
of that second. Half-way through every run a new version appears in the folder, is loaded and warmed up beside the
old one and takes over (`lcn_tf.serving.versions`); the run goes on until the new one has answered some requests, too.
It is a copy with other weights, so that its answers tell it from the old one: every answer must have the bits of the
one version that gave it. The command ends with 1 where one is lost, fails, or has the bits of no version.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import app, flags, logging

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from command_line.text_table import align
from experiments.benchmarks import flags as common
from experiments.benchmarks import measure
from lcn_tf.schema import PADDING_ID, FeatureSchema
from lcn_tf.serving.c_session import CSession, SessionError
from lcn_tf.serving.convert import alone
from lcn_tf.serving.export import next_version
from lcn_tf.serving.signatures import PROBABILITY, SERVING_DEFAULT
from lcn_tf.serving.verify import VERIFICATION_PATH, VerificationError, read_recorded
from lcn_tf.serving.versions import ServedVersions

_RATES = flags.DEFINE_multi_float("rates", [], "requests a second, once for each run", lower_bound=0.01)
_REQUESTS = flags.DEFINE_integer("requests", 10_000, "requests of all runs together", lower_bound=1)
_CALLERS = flags.DEFINE_integer("callers", 4, "threads that call the session", lower_bound=1)
_CANDIDATES = flags.DEFINE_integer("candidates_each", 100, "candidates of each request", lower_bound=1)
_THREADS = flags.DEFINE_integer("session_threads", 1, "threads of a session's operations", lower_bound=1)
_RELOAD = flags.DEFINE_boolean("reload", True, "bring a new version in the middle of each run")
_SEED = flags.DEFINE_integer("seed", 1, "of the moments of arrival")

SHARES = (0.25, 0.5, 0.75)  # of the capacity, where no rates are given
_CAPACITY_SECONDS = 3.0
_POLL_SECONDS = 0.1
_MOST_SECONDS = 300.0  # that a run goes on for the new version
_ANSWERS_OF_NEW = 100  # that a run waits for
_OTHER_WEIGHTS = 1.01  # times the old ones

Request = Mapping[str, np.ndarray]
Expected = dict[int, list[bytes]]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What became of a request.

    Attributes:
      due: moment of its arrival, in seconds since the start.
      ended: moment of its answer.
      version: the version that gave it, None where it failed.
      content: bytes of the probabilities, or the error as text.
    """

    due: float
    ended: float
    version: int | None
    content: bytes | str


def recorded_requests(version_path: str, candidates: int) -> list[Request]:
    """The recorded requests of an export, each alone, with so many candidates: its own ones, repeated.

    Raises:
      ValueError: none has a candidate.
    """
    extra = os.path.join(version_path, VERIFICATION_PATH)
    schema = FeatureSchema.load(os.path.dirname(extra))
    _, mask, request = read_recorded(extra)
    found = []
    for row in np.flatnonzero(mask.any(axis=1)):
        one = alone(schema, request, int(row))
        chosen = np.arange(candidates) % int((one[schema.item[0].name] != PADDING_ID).sum())
        names = (*schema.candidate_names, "timestamp")
        found.append({**one, **{name: np.ascontiguousarray(one[name][:, chosen]) for name in names}})
    if not found:
        raise ValueError(f"{extra}: no request has a candidate")
    return found


def write_other_version(path: str, target: str) -> None:
    """A copy of an export with other weights: those of floating point times a number near 1."""
    model = tf.saved_model.load(path)
    for weight in model.inference_weights:
        if weight.dtype.is_floating:
            weight.assign(weight * _OTHER_WEIGHTS)
    tf.saved_model.save(model, target, signatures=model.signatures)
    shutil.copytree(os.path.join(path, "assets.extra"), os.path.join(target, "assets.extra"))


def arrivals(rate: float, count: int, seed: int) -> np.ndarray:
    """Seconds at which `count` requests arrive, `rate` a second on average: a Poisson process."""
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))


def send(served: ServedVersions, requests: Sequence[Request], moments: np.ndarray, callers: int,
         enough: Callable[[int], bool] = lambda place: False) -> tuple[float, list[Answer | None]]:
    """Sends a request at each moment, from the first caller that is free.

    Args:
      served: answers.
      requests: sent in turns.
      moments: seconds since the start, increasing.
      callers: threads.
      enough: whether to stop before the request of this place.

    Returns:
      The start, and the answers in the order of their requests; None where there is none.
    """
    answers: list[Answer | None] = []
    places = iter(range(len(moments)))
    lock = threading.Lock()
    started = time.perf_counter()

    def call() -> None:
        while True:
            with lock:
                place = next(places, None)
                if place is None or enough(place):
                    return
                answers.append(None)
            due = float(moments[place])
            time.sleep(max(0.0, started + due - time.perf_counter()))
            version, content = None, b""
            try:
                with served.lease() as (version, session):
                    content = session.run(SERVING_DEFAULT, requests[place % len(requests)])[PROBABILITY].tobytes()
            except SessionError as error:
                version, content = None, str(error)
            answers[place] = Answer(due, time.perf_counter() - started, version, content)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return started, answers


def capacity(served: ServedVersions, requests: Sequence[Request], callers: int, seconds: float = _CAPACITY_SECONDS
             ) -> float:
    """Requests a second that the callers answer without a pause."""
    send(served, requests, np.zeros(2 * callers), callers)
    count, spent = callers, 0.0
    while spent < seconds:
        count *= 2
        started = time.perf_counter()
        send(served, requests, np.zeros(count), callers)
        spent = time.perf_counter() - started
    return count / spent


def check(answers: Sequence[Answer | None], expected: Expected) -> dict[str, Any]:
    """How many answers are lost, failed, of each version, and of none: other bits than the version that gave them."""
    requests = len(next(iter(expected.values())))
    own: Counter[int] = Counter()
    failed, lost, strange = [], 0, 0
    for place, answer in enumerate(answers):
        if answer is None:
            lost += 1
        elif answer.version is None:
            failed.append(answer.content)
        elif answer.content == expected[answer.version][place % requests]:
            own[answer.version] += 1
        else:
            strange += 1
    return {"sent": len(answers), "lost": lost, "failed": len(failed), "errors": sorted(set(map(str, failed)))[:3],
            "of_no_version": strange, "answered": {str(version): own[version] for version in expected}}


def run_rate(base_path: str, other: str | None, requests: Sequence[Request], expected: Sequence[list[bytes]],
             rate: float, count: int, settings: Mapping[str, int]) -> dict[str, Any]:
    """One run: figures of its latencies, of its answers and of the reload.

    Args:
      base_path: folder of one version.
      other: a version that appears under the next number half-way, None for no reload.
      requests: sent in turns.
      expected: bytes of the answers to them, of the first version and of the other one.
      rate: requests a second.
      count: requests.
      settings: `callers`, `session_threads` and `seed`.
    """
    first, second = next_version(base_path) - 1, next_version(base_path)
    moments = arrivals(rate, count + (int(rate * _MOST_SECONDS) if other else 0), settings["seed"])
    served = ServedVersions(base_path, _POLL_SECONDS, settings["session_threads"])
    switched: list[int] = []  # places that were sent after the new version took over

    def enough(place: int) -> bool:
        if any(event[1:] == (second, "serving") for event in served.events):
            switched.append(place)
        return place >= count and (other is None or len(switched) > _ANSWERS_OF_NEW)

    appears = None
    try:
        if other is not None:
            ready = os.path.join(base_path, f".{second}.partial")
            shutil.copytree(other, ready)
            appears = threading.Timer(moments[count // 2], os.rename, (ready, os.path.join(base_path, str(second))))
            appears.start()
        started, sent = send(served, requests, moments, settings["callers"], enough)
    finally:
        if appears is not None:
            appears.join()
        served.close()
    answers = [answer for answer in sent if answer is not None]
    latencies = np.array([answer.ended - answer.due for answer in answers])
    found = {"rate": rate, "achieved_rate": len(answers) / max(answer.ended for answer in answers),
             **{f"p{share}_seconds": float(np.percentile(latencies, share)) for share in (50, 90, 99)},
             "largest_seconds": float(latencies.max()),
             **check(sent, dict(zip((first, second), expected, strict=False)))}
    if other is not None:
        times = {event[1:]: event[0] - started for event in served.events}
        begun, ended = times.get((second, "loading"), np.inf), times.get((second, "serving"), np.inf)
        if ended == np.inf:
            raise SessionError(f"the new version did not take over within {_MOST_SECONDS:.0f} seconds: "
                               f"{served.events[-1][2]}")
        during = [answer.ended - answer.due for answer in answers if begun <= answer.due <= ended]
        found["reload_seconds"] = ended - begun
        found["p99_seconds_while_loading"] = float(np.percentile(during, 99)) if during else None
    return found


def measure_load(base_path: str, rates: Sequence[float], count: int, candidates: int, reload: bool,
                 settings: Mapping[str, int]) -> dict[str, Any]:
    """All runs; see the module.

    Raises:
      ValueError, OSError, SessionError, VerificationError: the folder has no version that can be loaded and asked.
    """
    newest = next_version(base_path) - 1
    if not newest:
        raise ValueError(f"{base_path}: no versions, such as saved_model/1")
    with tempfile.TemporaryDirectory(prefix="load-test-") as folder:
        base = os.path.join(folder, "versions")
        shutil.copytree(os.path.join(base_path, str(newest)), os.path.join(base, "1"))
        other = os.path.join(folder, "other")
        if reload:
            write_other_version(os.path.join(base, "1"), other)
        requests = recorded_requests(os.path.join(base, "1"), candidates)
        expected = []
        for path in (os.path.join(base, "1"), *([other] if reload else [])):
            session = CSession(path, settings["session_threads"])
            expected.append([session.run(SERVING_DEFAULT, request)[PROBABILITY].tobytes() for request in requests])
            session.close()
        if reload and set(expected[0]) & set(expected[1]):
            raise ValueError(f"{base_path}: other weights give the same answers, which tell no versions apart")
        served = ServedVersions(base, _POLL_SECONDS, settings["session_threads"])
        most = capacity(served, requests, settings["callers"])
        served.close()
        rates = rates or [share * most for share in SHARES]
        runs = []
        for place, rate in enumerate(rates):
            share = count * (place + 1) // len(rates) - count * place // len(rates)
            runs.append(run_rate(base, other if reload else None, requests, expected, rate, share, settings))
            shutil.rmtree(os.path.join(base, "2"), ignore_errors=True)
        return {"capacity": most, "distinct_requests": len(requests), "runs": runs}


def main(argv: list[str]) -> None:
    """Runs the load test, prints its table and writes the JSON file; bad input ends in one line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) != 2:
        sys.exit(f"error: expected one argument, a folder of versions, got {argv[1:]}")
    settings = {"callers": _CALLERS.value, "session_threads": _THREADS.value, "seed": _SEED.value}
    if _REQUESTS.value < len(_RATES.value or SHARES):
        sys.exit(f"error: --requests must be at least the number of rates, {len(_RATES.value or SHARES)}, got "
                 f"{_REQUESTS.value}")
    try:
        figures = measure_load(argv[1], _RATES.value, _REQUESTS.value, _CANDIDATES.value, _RELOAD.value, settings)
        measure.write_figures(common.OUTPUT.value or "load_test.json", {
            **settings, "candidates_each": _CANDIDATES.value, "requests": _REQUESTS.value}, figures)
    except (OSError, ValueError, SessionError, VerificationError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted; nothing is written, the same command measures again")
    print(report(figures))
    if bad := sum(run["lost"] + run["failed"] + run["of_no_version"] for run in figures["runs"]):
        sys.exit(f"error: {bad:,} requests were lost, failed or got the answer of no version")


def report(figures: Mapping[str, Any]) -> str:
    """The figures as text."""
    def milliseconds(seconds: float | None) -> str:
        return "" if seconds is None else f"{1e3 * seconds:,.1f}"

    rows = [("requests/s", "achieved", "p50 ms", "p90 ms", "p99 ms", "largest", "p99 while loading", "reload s",
             "sent", "lost", "failed", "old, new", "of no version")]
    for run in figures["runs"]:
        reload_seconds = run.get("reload_seconds")
        rows.append((
            f"{run['rate']:,.1f}", f"{run['achieved_rate']:,.1f}",
            *(milliseconds(run[f"p{share}_seconds"]) for share in (50, 90, 99)), milliseconds(run["largest_seconds"]),
            milliseconds(run.get("p99_seconds_while_loading")),
            "" if reload_seconds is None else f"{reload_seconds:.1f}", f"{run['sent']:,}", str(run["lost"]),
            str(run["failed"]), ", ".join(f"{count:,}" for count in run["answered"].values()),
            str(run["of_no_version"])))
    errors = [f"error of a request: {error}" for run in figures["runs"] for error in run["errors"]]
    return "\n".join([*align(rows), "", f"without a pause: {figures['capacity']:,.1f} requests/s, of "
                      f"{figures['distinct_requests']} different ones in turns", *errors])


if __name__ == "__main__":
    app.run(main)
