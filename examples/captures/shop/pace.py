"""The clock of the recording: pauses are given as they are in life, and kept SPEED times shorter."""

from __future__ import annotations

import random
import time

SPEED = 6


def pause(mean_s: float, chance: random.Random) -> None:
    """Wait as one waits for the next of independent events: exponentially distributed around `mean_s`."""
    time.sleep(chance.expovariate(1 / mean_s) / SPEED)


def wait(seconds: float) -> None:
    time.sleep(seconds / SPEED)
