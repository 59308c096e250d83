"""Height gained and lost.

Owns the smoothing and the hysteresis. Decides from the altitudes that the device
recorded; never looks up a terrain model.

Formula (`elevation/1`): median of five samples against single spikes; a step of over
15 m/s is a recalibration and is taken out; mean over a centred window of time; then the
sum of the rises, and of the falls, between turning points that differ by at least the
hysteresis. That is 3 m (GoldenCheetah's default), or more where the altitudes are
noisy: eight times the noise that the smoothing leaves, by the median absolute deviation,
so that jitter is not summed to 14,500 m of climbing (OpenTracks#1967).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from services.training.activities.rules.track import Floats, Track

HYSTERESIS_M: Final = 3.0
_HALF_WINDOW_S: Final = 3.0
_STEEPEST_MPS: Final = 15.0
_NOISE_FACTOR: Final = 8.0
_MAD_TO_SIGMA: Final = 1.4826


def ascent_and_descent(track: Track) -> tuple[float, float] | None:
    """Metres up and down, both ≥ 0; None where fewer than two altitudes are known."""
    values = track.columns.get("ALTITUDE")
    if values is None:
        return None
    known = np.isfinite(values)
    if int(known.sum()) < 2:
        return None
    altitude, clock = values[known], track.clock_s[known]
    steady = _without_jumps(_median_of_five(altitude), clock)
    smooth = _mean_around(steady, clock)
    return _climbed(smooth, _hysteresis(altitude, clock))


def _median_of_five(values: Floats) -> Floats:
    padded = np.pad(values, 2, mode="edge")
    result: Floats = np.sort(sliding_window_view(padded, 5), axis=1)[:, 2]
    return result


def _without_jumps(values: Floats, clock: Floats) -> Floats:
    steps = np.diff(values)
    steps[np.abs(steps) > _STEEPEST_MPS * np.maximum(np.diff(clock), 1.0)] = 0.0
    result: Floats = values[0] + np.concatenate(([0.0], np.cumsum(steps)))
    return result


def _mean_around(values: Floats, clock: Floats) -> Floats:
    """The mean of the straight lines between the samples, over the window at each."""
    area = np.concatenate(([0.0], np.cumsum((values[1:] + values[:-1]) / 2 * np.diff(clock))))
    half = np.minimum(_HALF_WINDOW_S, np.minimum(clock - clock[0], clock[-1] - clock))
    covered = np.interp(clock + half, clock, area) - np.interp(clock - half, clock, area)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(half > 0, covered / (2 * half), values)


def _hysteresis(altitude: Floats, clock: Floats) -> float:
    """From the noise of the altitudes as recorded, less what the mean takes out of it.

    The noise is how far a sample lies from the middle of its neighbours, which a slope
    does not change; for independent errors that is their deviation by the root of 1.5.
    """
    if len(altitude) < 3:
        return HYSTERESIS_M
    jitter = altitude[1:-1] - (altitude[:-2] + altitude[2:]) / 2
    sigma = _MAD_TO_SIGMA * float(np.median(np.abs(jitter))) / math.sqrt(1.5)
    between_s = max(float(np.median(np.diff(clock))), 1e-3)
    averaged = max(2 * _HALF_WINDOW_S / between_s, 1.0)
    return max(HYSTERESIS_M, _NOISE_FACTOR * sigma / math.sqrt(averaged))


def _climbed(values: Floats, hysteresis_m: float) -> tuple[float, float]:
    """The sums between confirmed turning points; only local extremes are looped over."""
    inner = np.flatnonzero((values[1:-1] - values[:-2]) * (values[2:] - values[1:-1]) <= 0) + 1
    up = down = 0.0
    low = high = turned = float(values[0])
    direction = 0
    for value in (*values[inner].tolist(), float(values[-1])):
        low, high = min(low, value), max(high, value)
        if direction >= 0 and high - value >= hysteresis_m:
            up += high - turned if direction else 0.0
            direction, turned, low = -1, high, value
        elif direction <= 0 and value - low >= hysteresis_m:
            down += turned - low if direction else 0.0
            direction, turned, high = 1, low, value
    if direction > 0:
        up += high - turned
    elif direction < 0:
        down += turned - low
    return up, down
