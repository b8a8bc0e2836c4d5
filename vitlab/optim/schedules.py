"""Learning-rate schedules: pure functions of the step, with values as shares of the optimizer's ``lr``.

Each takes the number of steps done so far, ``step``, and the length of the run, and gives the factor for the
next step. Nothing is remembered between calls, so a resumed run goes on exactly where it was.
"""

import math

from vitlab.duration import RunLength, parse


def constant(step: int, run: RunLength, warmup: str = "0 steps") -> float:
    """Always 1 after the warm-up."""
    return min(1.0, _ramp(step, run, warmup))


def linear(step: int, run: RunLength, warmup: str = "0 steps", floor: float = 0.0) -> float:
    """A straight line from 1 at the end of the warm-up down to ``floor`` at the end of the run."""
    if (ramp := _ramp(step, run, warmup)) < 1:
        return ramp
    return 1 - (1 - floor) * _progress(step, run, warmup)


def cosine(step: int, run: RunLength, warmup: str = "0 steps", floor: float = 0.0, hold: str = "1 step") -> float:
    """Half a cosine from 1 down to ``floor`` (Loshchilov & Hutter 2017, eq. 5 without restarts).

    Args:
        step: steps done so far.
        run: the length of the run.
        warmup: duration of the linear rise before it.
        floor: the factor at the end of the run.
        hold: how long the factor stays before it moves: ``1 epoch`` gives the staircase of per-epoch schedulers.
    """
    if (ramp := _ramp(step, run, warmup)) < 1:
        return ramp
    stride = max(1, parse(hold).steps(run))
    return floor + (1 - floor) * (1 + math.cos(math.pi * _progress(step - step % stride, run, warmup))) / 2


def one_cycle(step: int, run: RunLength, warmup: str = "0.3 of run", start: float = 25.0, end: float = 1e4) -> float:
    """One cycle (Smith & Topin 2019): ``1/start`` up to 1 over the warm-up, down to ``1/start/end``, in half cosines.

    The same curve as torch's ``OneCycleLR``; the momentum stays as it is.
    """
    last = max(1, run.total_steps - 1)
    peak = min(max(1.0, parse(warmup).steps(run) - 1), last)
    low, lowest = 1 / start, 1 / start / end
    if step <= peak:
        return 1 + (low - 1) * (1 + math.cos(math.pi * step / peak)) / 2
    return lowest + (1 - lowest) * (1 + math.cos(math.pi * min(1.0, (step - peak) / (last - peak)))) / 2


def warmup_stable_decay(
    step: int, run: RunLength, warmup: str = "0.05 of run", decay: str = "0.2 of run", floor: float = 0.0
) -> float:
    """Rise, plateau at 1, then a straight line to ``floor`` over the last ``decay`` (Hu et al. 2024, section 4).

    Raises:
        ValueError: the rise and the decay are longer than the run.
    """
    length = max(1, parse(decay).steps(run))
    if parse(warmup).steps(run) + length > run.total_steps + 1:  # by one step where shares are rounded
        raise ValueError(f"warmup={warmup} and decay={decay} overlap in {run.total_steps} steps; shorten one of them")
    if (ramp := _ramp(step, run, warmup)) < 1:
        return ramp
    return 1 - (1 - floor) * min(1.0, max(0.0, (step - (run.total_steps - length)) / length))


def _ramp(step: int, run: RunLength, warmup: str) -> float:
    """Position on the linear warm-up: above 0 at the first step, 1 or more once it is over."""
    return (step + 1) / (parse(warmup).steps(run) + 1)


def _progress(step: int, run: RunLength, warmup: str) -> float:
    """Share of the run after the warm-up that is done, 0 to 1."""
    begin = parse(warmup).steps(run)
    return min(1.0, max(0.0, (step - begin) / max(1, run.total_steps - begin)))
