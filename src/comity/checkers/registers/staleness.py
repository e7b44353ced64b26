"""How stale what was read is: the smallest k for which a history is k-atomic, as far as it can be told.

Amitanand Aiyer, Lorenzo Alvisi, Rida Bazzi, "On the Availability of Non-strict Quorum Systems", DISC 2005;
Wojciech Golab, Jeremy Hurwitz, Xiaozhou Li, "On the k-Atomicity-Verification Problem", ICDCS 2013. One order
of all operations keeps real time, and every read returns one of the last k writes to its key; the initial
value counts as a write. Keys are told apart: like linearizability, of which it is the form with a register
that may return any of its last k values, it is a property of single objects.

A cluster is a write and its reads. Only three events of it matter: when the write begins, when the first of
the cluster returns (by then the write must have had its place), and when the last read of it begins. In an
order of the writes, a cluster is as stale as there are writes from its own to the last of those that were
over before its last read began; reads never ask for more. Whatever order the writes have is verified like
this, so `at_most` is sound; `at_least` counts writes that every order has there.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any

import msgspec

from comity.checkers.history import History
from comity.checkers.registers.saturation import Budget
from comity.checkers.registers.timeline import BEFORE_ALL, NEVER, Timeline, returned, timelines
from comity.checkers.semantics import Semantics

SEARCHED = 40
"""How many clusters that hang together are searched for the best order, at most."""
STEPS = 20_000
"""How many writes those searches place, in all."""


class Staleness(msgspec.Struct, frozen=True):
    """k lies between these two, both included; 1 is linearizable."""

    at_least: int
    at_most: int


class Cluster(msgspec.Struct, gc=False):
    """A write and its reads. over: the first return of any of them. asked: the invocation of the last read
    of it, `BEFORE_ALL` where nobody read it."""

    begun: int
    over: int
    asked: int = BEFORE_ALL


def bounds(history: History, semantics: Semantics, budget: Budget) -> Staleness | None:
    """None where no order will do, however stale: a value that nobody wrote, or that was written only
    afterwards. The history must be one that `applies`. Raises `Limited`."""
    regions: list[tuple[int, int, list[Cluster]]] = []
    for line in timelines(history, semantics):
        clusters = clusters_of(line)
        if clusters is None:
            return None
        for region in _regions(clusters):
            budget.spend()
            low = at_least(region)
            if low > 1:  # else it is linearizable: no two zones are in each other's way
                regions.append((at_most(region), low, region))
    regions.sort(key=lambda told: -told[0])
    least = max((low for _, low, _ in regions), default=1)
    most = 1
    steps = STEPS
    for high, low, region in regions:
        if high > least and steps > 0 and len(region) <= SEARCHED:
            budget.spend()
            search = _Search(region, steps)
            low, high = search.narrow(max(low, least), high)
            steps = search.steps
        least, most = max(least, low), max(most, high)
    return Staleness(least, max(least, most))


def clusters_of(line: Timeline) -> list[Cluster] | None:
    """The clusters of a key by the invocation of their writes, the initial value's first; None where
    a read returned what nobody had written yet. Writes of unknown outcome that nobody read are left out."""
    initial = Cluster(BEFORE_ALL, BEFORE_ALL)
    by_write = {write.index: Cluster(write.invoked, returned(write)) for write in line.writes}
    for read in line.reads:
        assert read.completed is not None
        try:
            source = line.source_of(read)
        except KeyError:
            return None
        cluster = initial if source is None else by_write[source.index]
        if read.completed < cluster.begun:
            return None
        if source is not None:
            cluster.over = min(cluster.over, read.completed)
        cluster.asked = max(cluster.asked, read.invoked)
    return [initial, *(cluster for cluster in by_write.values() if cluster.over != NEVER)]


def _regions(clusters: Sequence[Cluster]) -> Iterator[list[Cluster]]:
    """Clusters that hang together in time; whatever is in another region comes before or after all of it."""
    region: list[Cluster] = []
    end = BEFORE_ALL
    for cluster in clusters:
        if cluster.begun > end and region:
            if len(region) > 1:
                yield region
            region = []
        region.append(cluster)
        end = max(end, cluster.over, cluster.asked)
    if len(region) > 1:
        yield region


def at_least(region: Sequence[Cluster]) -> int:
    """What every order of the writes comes to, for clusters by invocation; 1 just where they are
    linearizable (Gibbons & Korach 1997: see `comity.checkers.linearizability.zones`)."""
    return max(1, 1 + _lie_between(region), _want_to_be_last(region))


def _lie_between(region: Sequence[Cluster]) -> int:
    """The most writes that certainly come after one and before the last read of it: begun after the one
    was over, and over before the read began."""
    begun = [cluster.begun for cluster in region]
    events = [(cluster.begun, 0, cluster.begun, 0) for cluster in region]
    events += [(cluster.over, 1, cluster.begun, 0) for cluster in region]
    events += [(c.asked, 2, c.over, c.asked) for c in region if c.asked > c.over]
    events.sort()
    running: list[int] = []
    most = 0
    for _, kind, which, asked in events:
        if kind == 0:
            running.append(which)
        elif kind == 1:
            del running[bisect_left(running, which)]
        else:
            after = bisect_left(begun, asked) - bisect_right(begun, which)
            most = max(most, after - (len(running) - bisect_right(running, which)))
    return most


def _want_to_be_last(region: Sequence[Cluster]) -> int:
    """The most clusters each of which has a read that began when all the others were over: whichever is
    first, the others come after it and before that read."""
    events = [(cluster.over, 1, cluster.over, cluster.asked) for cluster in region]
    events += [(c.asked, 0, c.over, c.asked) for c in region if c.asked > c.over]
    events.sort()
    waiting: list[int] = []
    most = 1
    for _, kind, over, asked in events:
        if kind == 0:
            del waiting[bisect_left(waiting, over)]
            continue
        most = max(most, 1 + bisect_left(waiting, asked))
        if asked > over:
            insort(waiting, over)
    return most


def at_most(region: Sequence[Cluster]) -> int:
    """What the best of a few orders of the writes comes to, for clusters by invocation."""
    by_over = sorted(region, key=attrgetter("over"))
    best = staleness_of(by_over, by_over)
    if best > 1:
        best = min(best, staleness_of(region, by_over))
    if best > 1:
        for urgency in (_own_urgency, _inherited_urgency):
            best = min(best, staleness_of(_last_first(region, by_over, urgency(by_over)), by_over))
    return best


def staleness_of(order: Sequence[Cluster], by_over: Sequence[Cluster]) -> int:
    """The k of an order of the writes that keeps real time. by_over: the same by their first returns."""
    place = {id(cluster): number for number, cluster in enumerate(order)}
    overs = [cluster.over for cluster in by_over]
    last = list(accumulate((place[id(cluster)] for cluster in by_over), max))
    worst = 0
    for number, cluster in enumerate(order):
        ended = bisect_left(overs, cluster.asked)
        if ended:
            worst = max(worst, last[ended - 1] - number)
    return worst + 1


Urgency = dict[int, int]
"""Cluster -> the event after which it wants to come, in an order that is made from its end."""


def _own_urgency(by_over: Sequence[Cluster]) -> Urgency:
    return {id(cluster): cluster.asked for cluster in by_over}


def _inherited_urgency(by_over: Sequence[Cluster]) -> Urgency:
    """Whatever has to come after a cluster stands in its way, and is as urgent."""
    overs = [cluster.over for cluster in by_over]
    most = list(accumulate((cluster.asked for cluster in by_over), max))
    found = {}
    for cluster in by_over:
        ended = bisect_left(overs, cluster.begun)
        found[id(cluster)] = max(cluster.asked, most[ended - 1] if ended else BEFORE_ALL)
    return found


def _last_first(region: Sequence[Cluster], by_over: Sequence[Cluster], urgency: Urgency) -> list[Cluster]:
    """An order made from its end: of the writes that nothing left has to follow, the most urgent one that
    is stale already, else the one that was over last, which makes the fewest others stale."""
    placed: set[int] = set()
    late: list[tuple[int, int, Cluster]] = []
    urgent: list[tuple[int, int, Cluster]] = []
    backwards: list[Cluster] = []
    begun_last, ending = len(region) - 1, len(by_over) - 1
    horizon = NEVER
    while len(backwards) < len(region):
        while id(region[begun_last]) in placed:
            begun_last -= 1
        while ending >= 0 and by_over[ending].over >= region[begun_last].begun:
            cluster = by_over[ending]
            heapq.heappush(late, (-cluster.over, ending, cluster))
            heapq.heappush(urgent, (-urgency[id(cluster)], ending, cluster))
            ending -= 1
        while urgent and id(urgent[0][2]) in placed:
            heapq.heappop(urgent)
        while id(late[0][2]) in placed:
            heapq.heappop(late)
        chosen = urgent[0][2] if urgent and -urgent[0][0] > horizon else late[0][2]
        placed.add(id(chosen))
        backwards.append(chosen)
        horizon = min(horizon, chosen.over)
    return backwards[::-1]


class _Search:
    """Every order of the writes of a region, from its end, within so many steps."""

    def __init__(self, region: Sequence[Cluster], steps: int) -> None:
        self.region = region
        self.steps = steps
        self.whole = (1 << len(region)) - 1
        self.followers = [
            sum(1 << n for n, other in enumerate(region) if other.begun > cluster.over) for cluster in region
        ]
        self.stale = [
            sum(
                1 << n
                for n, other in enumerate(region)
                if other.asked > cluster.over and other is not cluster
            )
            for cluster in region
        ]
        """By cluster, those that become staler from where it stands on."""

    def narrow(self, low: int, high: int) -> tuple[int, int]:
        """The bounds again, nearer to one another as far as the steps reach."""
        while low < high:
            fits = self._fits(low)
            if fits is None:
                break
            if fits:
                high = low
            else:
                low += 1
        return low, high

    def _fits(self, k: int) -> bool | None:
        """Whether some order has this k; None where there are no steps left."""
        failed: set[Any] = set()
        order = sorted(range(len(self.region)), key=lambda n: -self.region[n].over)

        def extend(left: int, due: tuple[int, ...]) -> bool | None:
            """left: the clusters that have no place yet. due: by number, those that must be among so many
            that come next."""
            if not left:
                return True
            for more, those in enumerate(due):
                if (those & left).bit_count() > more:
                    return False
            state = (left, tuple(those & left for those in due))
            if state in failed:
                return False
            for n in order:
                bit = 1 << n
                if not left & bit or self.followers[n] & left:
                    continue
                self.steps -= 1
                if self.steps < 0:
                    return None
                rest = left & ~bit
                # What is stale from here on must come within the next k - 1.
                fits = extend(rest, (*due[1:], due[-1] | self.stale[n]))
                if fits is not False:
                    return fits
            failed.add(state)
            return False

        return extend(self.whole, (0,) * k)
