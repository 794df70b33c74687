"""What a run is like: how many machines, which faults, how much work. A seed draws one."""

import random
from dataclasses import dataclass
from enum import Enum, auto

from tests.simulation.network import FAIR, Weather
from tests.simulation.virtual import between


class Manner(Enum):
    """How people behave."""

    CALM = auto()
    """Only faults: nobody refuses, ends or interferes, so nothing may end."""
    FREE = auto()
    """Everybody does anything at any moment."""
    PACING = auto()
    """Contracts are made by themselves; transfers are paused, resumed and ended all the time."""


@dataclass(frozen=True, slots=True)
class Crash:
    """A place to die at: before or after the n-th commit (from 1) of a machine."""

    machine: str
    commit: int
    after: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is like. A seed draws one (`drawn`); tests of one thing give their own."""

    machines: int = 2
    manner: Manner = Manner.CALM
    weather: Weather = FAIR
    seconds: float = 60.0
    acts: int = 3
    crash: float = 0.0
    """Probability to die at each commit boundary."""
    crashes: tuple[Crash, ...] = ()
    partitions: int = 0
    outage: bool = False
    """In the end two nodes cannot reach each other for hours: messages are given up, and people send them again."""
    full_disks: int = 0
    jumps: int = 0
    skew_ms: int = 0


def drawn(chance: random.Random) -> Plan:
    """The plan of a seed: each kind of fault is off in some runs, so that none of them hides what another one shows."""

    def maybe(value: float) -> float:
        return value if chance.random() < 0.6 else 0.0

    return Plan(
        machines=5 if chance.random() < 0.1 else 2,
        manner=chance.choice(list(Manner)),
        weather=Weather(
            loss=maybe(chance.choice((0.02, 0.1, 0.3))),
            double=maybe(chance.choice((0.05, 0.3))),
            slow=maybe(chance.choice((0.02, 0.1, 0.3))),
            broken=maybe(0.03),
        ),
        seconds=between(chance, 5.0, 300.0),
        acts=chance.randint(2, 20),
        crash=maybe(chance.choice((0.005, 0.03))),
        partitions=chance.choice((0, 0, 1, 3)),
        outage=chance.random() < 0.1,
        full_disks=chance.choice((0, 0, 0, 1)),
        jumps=chance.choice((0, 0, 1)),
        skew_ms=chance.choice((0, 0, 500, 20_000)),
    )
