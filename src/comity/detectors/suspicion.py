"""How long a suspected member has to refute (SWIM 4.2; Lifeguard, LHA-Suspicion)."""

from __future__ import annotations

import functools
import math

from comity.detectors.options import SwimOptions
from comity.replica import NodeId

THOUSANDTHS = 1000
MILLIONTHS = 1_000_000


def least_timeout(options: SwimOptions, members: int) -> int:
    """Alpha * max(1, log10(members)) periods: news takes log(members) periods to reach the suspect."""
    return options.alpha * options.interval_ns * _decades(max(1, members)) // THOUSANDTHS


@functools.lru_cache(maxsize=4096)
def _decades(members: int) -> int:
    return max(THOUSANDTHS, round(THOUSANDTHS * math.log10(members)))


@functools.lru_cache(maxsize=1024)
def _share(confirmations: int, wanted: int) -> int:
    """log(C + 1) / log(K + 1), in millionths."""
    return round(MILLIONTHS * math.log(confirmations + 1) / math.log(wanted + 1))


def timeout(least_ns: int, most_ns: int, confirmations: int, wanted: int) -> int:
    """max(Min, Max - (Max - Min) * log(C + 1) / log(K + 1)): long while one member alone suspects, who may
    be the slow one; short once `wanted` others found the same by themselves."""
    if confirmations >= wanted:
        return least_ns
    return max(least_ns, most_ns - (most_ns - least_ns) * _share(confirmations, wanted) // MILLIONTHS)


class Suspicion:
    """One member's trial. sources: who suspects it, the first one not counted as a confirmation."""

    __slots__ = ("incarnation", "least_ns", "most_ns", "since_ns", "sources", "wanted")

    def __init__(
        self,
        options: SwimOptions,
        now_ns: int,
        incarnation: int,
        source: NodeId,
        members: int,
    ) -> None:
        """members: the living, this node and the suspect too."""
        self.incarnation = incarnation
        self.since_ns = now_ns
        self.sources = [source]
        self.least_ns = least_timeout(options, members)
        if options.dynamic_suspicion:
            self.most_ns = self.least_ns * options.beta
            # Among three there is one who could confirm; waiting for more would be waiting for the longest.
            self.wanted = max(0, min(options.confirmations, members - 2))
        else:
            self.most_ns = self.least_ns
            self.wanted = 0

    @property
    def expires_ns(self) -> int:
        """When the member is dead unless it refutes."""
        return self.since_ns + timeout(self.least_ns, self.most_ns, len(self.sources) - 1, self.wanted)

    def news(self, source: NodeId) -> bool:
        """Whether it would be news that this one suspects the member, too: only the first `wanted` are."""
        return len(self.sources) <= self.wanted and source not in self.sources

    def confirm(self, source: NodeId) -> bool:
        """Another suspects it too. Whether that was news, to be passed on."""
        if not self.news(source):
            return False
        self.sources.append(source)
        return True
