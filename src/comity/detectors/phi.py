"""The phi accrual failure detector (Hayashibara, Defago, Yared & Katayama 2004).

phi(t) = -log10 P_later(t), where P_later(t) is the probability that a heartbeat comes later than t after
the last one, estimated from a sliding window of inter-arrival times taken to be normal (section 4):

    P_later(t) = erfc((t - mean) / (std * sqrt 2)) / 2

Numerics. Decisions are made of integers alone: the window keeps a sum and a sum of squares, the mean and
the variance are exact quotients of them, the deviation an integer square root; no rounding error gathers
however long it runs, and a machine's libm cannot change a trace. For that, "phi is at least x" is turned
round: x belongs to one number z of deviations past the mean, found once, in millionths. `phi` itself is a
float for people: erfc underflows to 0 from 37.5 deviations on, so beyond 25*sqrt 2 the asymptotic series of
ln erfc is taken, and phi stays finite and rising.

Ours, not of the paper: a least deviation; the first guess (two imaginary samples, a quarter of the interval
to either side of it, which leave the window as real ones come); an interval in which the member was held
dead is no sample; other traffic (`heard`) ends a silence but is no sample, as it has no rhythm.
"""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Callable, Iterable

from comity.detectors.beats import BeatDetector
from comity.detectors.detector import _no_note
from comity.detectors.options import PhiOptions
from comity.replica import NodeId, Stream

MILLIONTHS = 1_000_000
_FAR = 25.0


class Window:
    """The last inter-arrival times of one member, in whole nanoseconds."""

    __slots__ = ("_samples", "_squares", "_sum")

    def __init__(self, size: int, guess_ns: int) -> None:
        self._samples: deque[int] = deque(maxlen=size)
        self._sum = 0
        self._squares = 0
        self.add(guess_ns - guess_ns // 4)
        self.add(guess_ns + guess_ns // 4)

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, interval_ns: int) -> None:
        """One more sample; the oldest leaves a full window."""
        if len(self._samples) == self._samples.maxlen:
            oldest = self._samples[0]
            self._sum -= oldest
            self._squares -= oldest * oldest
        self._samples.append(interval_ns)
        self._sum += interval_ns
        self._squares += interval_ns * interval_ns

    @property
    def mean_ns(self) -> int:
        """Rounded down."""
        return self._sum // len(self._samples)

    @property
    def std_ns(self) -> int:
        """The population's deviation, rounded down."""
        count = len(self._samples)
        return math.isqrt((count * self._squares - self._sum * self._sum) // (count * count))


def phi_of(deviations: float) -> float:
    """Phi where a heartbeat is so many standard deviations late; 0 or more, and never infinite."""
    x = deviations / math.sqrt(2)
    if x < _FAR:
        return max(0.0, -math.log10(math.erfc(x) / 2))
    square = x * x
    series = math.log1p(-1 / (2 * square) + 3 / (4 * square * square))
    return (square + math.log(x * math.sqrt(math.pi)) - series + math.log(2)) / math.log(10)


@functools.lru_cache(maxsize=64)
def deviations_of(phi: float) -> int:
    """The inverse of `phi_of`, in millionths of a deviation, rounded up."""
    low, high = -10 * MILLIONTHS, 1000 * MILLIONTHS
    while low < high:
        middle = (low + high) // 2
        if phi_of(middle / MILLIONTHS) >= phi:
            high = middle
        else:
            low = middle + 1
    return low


class PhiDetector(BeatDetector):
    """Suspects a member when phi reaches `suspect`, holds it dead when it reaches `dead`."""

    def __init__(
        self,
        node: NodeId,
        members: Iterable[NodeId],
        stream: Stream,
        options: PhiOptions | None = None,
        *,
        incarnation: int = 0,
        note: Callable[..., None] = _no_note,
    ) -> None:
        self.options = options or PhiOptions()
        super().__init__(
            node,
            members,
            stream,
            interval_ns=self.options.interval_ns,
            max_members=self.options.max_members,
            incarnation=incarnation,
            note=note,
        )
        self._windows: dict[NodeId, Window] = {}
        self._suspect = deviations_of(self.options.suspect)
        self._dead = deviations_of(self.options.dead)
        self._limits: dict[NodeId, tuple[int, int]] = {}

    def phi(self, now_ns: int, node: NodeId) -> float:
        """The suspicion as the paper has it. Raises `KeyError` for a node that is no member."""
        mean_ns, std_ns = self.estimate(node)
        return phi_of((now_ns - self._peers[node].heard_ns - mean_ns) / std_ns)

    def estimate(self, node: NodeId) -> tuple[int, int]:
        """Mean and deviation of the member's intervals, as decisions use them."""
        window = self._windows[node]
        return window.mean_ns + self.options.pause_ns, max(window.std_ns, self.options.min_std_ns)

    def limits(self, node: NodeId) -> tuple[int, int]:
        limits = self._limits.get(node)
        if limits is None:
            mean_ns, std_ns = self.estimate(node)
            limits = (
                max(1, mean_ns - -(std_ns * self._suspect) // MILLIONTHS),
                max(1, mean_ns - -(std_ns * self._dead) // MILLIONTHS),
            )
            self._limits[node] = limits
        return limits

    def sample(self, node: NodeId, interval_ns: int) -> None:
        self._windows[node].add(interval_ns)
        self._limits.pop(node, None)

    def forget(self, node: NodeId) -> None:
        self._windows[node] = Window(self.options.window, self.options.interval_ns)
        self._limits.pop(node, None)

    def remove(self, now_ns: int, node: NodeId) -> None:
        super().remove(now_ns, node)
        self._windows.pop(node, None)
        self._limits.pop(node, None)

    def accrued(self, node: NodeId, silence_ns: int, suspect_ns: int, dead_ns: int) -> float:
        if silence_ns >= dead_ns:
            return 2.0
        mean_ns, std_ns = self.estimate(node)
        phi = phi_of((silence_ns - mean_ns) / std_ns)
        suspect, dead = self.options.suspect, self.options.dead
        if silence_ns < suspect_ns:
            return min(phi / suspect, math.nextafter(1, 0))
        return min(max(1.0, 1 + (phi - suspect) / (dead - suspect)), math.nextafter(2, 0))
