"""Latencies in buckets: fine ones for percentiles, coarse ones as Cloud Monitoring's distributions have them.

What belongs here: arithmetic. Coarse bounds are 1 ms x 1.4^i, as Google's services use for latencies in milliseconds;
each coarse bucket is exactly 17 fine ones, so that a percentile is within 2 % (1.4^(1/17) = 1.02) and both agree.
"""

import math
from collections.abc import Iterable, Mapping

GROWTH = 1.4
FINITE_BUCKETS = 66
_FINE = 17
_FINEST = -_FINE * 12  # 18 microseconds: nothing that goes through Envoy is faster

type Histogram = Mapping[int, int]


def bucket_of(milliseconds: float) -> int:
    """The fine bucket that a latency belongs to."""
    if milliseconds <= 0:
        return _FINEST
    return max(_FINEST, math.floor(_FINE * math.log(milliseconds, GROWTH)))


def merged(histograms: Iterable[Histogram]) -> dict[int, int]:
    """All counts together."""
    total: dict[int, int] = {}
    for histogram in histograms:
        for bucket, count in histogram.items():
            total[bucket] = total.get(bucket, 0) + count
    return total


def percentile(histogram: Histogram, percent: float) -> float:
    """The latency in milliseconds that `percent` of the requests do not exceed; the histogram is not empty.

    Between a bucket's bounds it is taken as evenly spread, as Cloud Monitoring does.
    """
    rank = sum(histogram.values()) * percent / 100
    below = 0
    for bucket in sorted(histogram):
        count = histogram[bucket]
        if below + count >= rank:
            lower, upper = _bound(bucket), _bound(bucket + 1)
            return lower + (upper - lower) * max(0.0, rank - below) / count
        below += count
    return _bound(max(histogram) + 1)


def coarse_counts(histogram: Histogram) -> list[int]:
    """Counts for underflow, 66 finite buckets and overflow; zeros at the end are left out, as in a distribution."""
    counts = [0] * (FINITE_BUCKETS + 2)
    for bucket, count in histogram.items():
        place = min(max(bucket // _FINE + 1, 0), FINITE_BUCKETS + 1)
        counts[place] += count
    while counts and counts[-1] == 0:
        counts.pop()
    return counts


def _bound(bucket: int) -> float:
    return float(GROWTH ** (bucket / _FINE))
