"""TensorFlow Serving's batching parameters, each derived from measured times.

A server may merge requests that wait, up to `max_batch_size`, and answer them in one run. That pays where a run of
several costs less than as many runs of one. How each value follows from what was measured:

- `max_batch_size`: the smallest size that answers as many requests a second as the best one, within 5 %, among those
  whose run leaves half of the budget for waiting.
- `batch_timeout_micros`: what a merged request saves, `seconds(1) - seconds(n) / n`, at most the rest of the budget; 0
  where merging does not pay.
- `num_batch_threads`: the fewest callers at once that answer as many requests a second as the best number, within 5 %.
- `max_enqueued_batches`: as many as these threads answer within the budget, at least one for each. What comes later
  would be answered too late, and is refused at once.
- `allowed_batch_sizes`: the measured sizes up to `max_batch_size`. The server fills a batch up to the next of them, so
  that it meets no size that it was not warmed up with.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

_AS_GOOD = 0.95  # of the best throughput


@dataclasses.dataclass(frozen=True)
class BatchingParameters:
    """Fields of `tensorflow.serving.BatchingParameters` (session_bundle_config.proto)."""

    max_batch_size: int
    batch_timeout_micros: int
    max_enqueued_batches: int
    num_batch_threads: int
    allowed_batch_sizes: tuple[int, ...]

    def to_text(self) -> str:
        """The file that `tensorflow_model_server --batching_parameters_file` takes."""
        wrapped = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
        lines = [f"{name} {{ value: {getattr(self, name)} }}" for name in wrapped]
        return "\n".join([*lines, *(f"allowed_batch_sizes: {size}" for size in self.allowed_batch_sizes), ""])


def batching_parameters(seconds: Mapping[int, float], requests_per_second: Mapping[int, float], budget: float
                        ) -> BatchingParameters:
    """Derives the parameters; see the module.

    Args:
      seconds: batch size -> seconds of a run; with size 1.
      requests_per_second: callers at once, each with one request at a time -> requests answered in a second by all.
      budget: seconds that a request may take at the server.

    Raises:
      ValueError: size 1 is not among `seconds`, no callers, a budget that is no positive number of seconds, or a run of
        one request takes longer than it.
    """
    if not 0 < budget < math.inf:
        raise ValueError(f"budget must be positive and finite, got {budget} seconds")
    if 1 not in seconds or not requests_per_second:
        raise ValueError("expected the seconds of a run of one request and the throughput of some callers, got "
                         f"seconds of {sorted(seconds)} and callers {sorted(requests_per_second)}")
    if seconds[1] > budget:
        raise ValueError(f"one request takes {1e3 * seconds[1]:.1f} ms, more than the budget of {1e3 * budget:.1f} ms")
    within = {size: size / each for size, each in seconds.items() if size == 1 or each <= budget / 2}
    most = _smallest_as_good(within)
    threads = _smallest_as_good(requests_per_second)
    saved = seconds[1] - seconds[most] / most
    timeout = max(0.0, min(saved, budget - seconds[most])) if most > 1 else 0.0
    return BatchingParameters(
        max_batch_size=most, batch_timeout_micros=round(1e6 * timeout),
        max_enqueued_batches=threads * max(1, int(budget / seconds[most])), num_batch_threads=threads,
        allowed_batch_sizes=tuple(size for size in sorted(seconds) if size <= most))


def _smallest_as_good(throughput: Mapping[int, float]) -> int:
    """The smallest key whose value is the largest one, but for 5 %."""
    best = max(throughput.values())
    return min(key for key, value in throughput.items() if value >= _AS_GOOD * best)
