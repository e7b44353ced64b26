"""Gray failures: a node that answers its detectors and yet does its work badly.

What makes a failure gray is differential observability: some see the node fail while its detector sees it
live (Huang et al. 2017, "Gray failure: the Achilles' heel of cloud-scale systems"). So the views of several
are put side by side here: every node reports how long its own disk takes and whom it heard how long ago.

- A disk is slow when its latency is far above the median of the *others'* (when all are slow it is the load).
- A link is one-way when A hears B and B does not hear A. Each end alone would say that all is well, or that
  the other is dead.

A symptom must last before it counts and be gone for longer before it does not (hysteresis). At most a
minority of the reporting nodes is ever avoided: a cure that takes the majority away is worse than the
illness. A node that nobody hears at all has no fresh report; that is a case for the other detectors.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

import msgspec

from comity.detectors.options import GrayOptions
from comity.replica import NodeId


class Reason(enum.StrEnum):
    """Why a node, or a link, is routed around."""

    SLOW_DISK = "slow-disk"
    DEAF = "deaf"
    """It does not hear most of those who hear it."""
    MUTE = "mute"
    """Most of those it hears do not hear it."""
    ONE_WAY = "one-way-link"
    """What `node` sends does not reach `peer`; neither of them is to blame."""


class Report(msgspec.Struct, frozen=True, array_like=True):
    """What a node says of itself. fsync_ns: a high percentile of its recent fsyncs, 0 where it made none;
    heard: of every peer it heard, how long ago."""

    node: NodeId
    fsync_ns: int
    heard: Mapping[NodeId, int]


class Finding(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Route around `node`; for a one-way link around `node` to `peer` only. since_ns: when the symptom was
    first seen; detail: for people."""

    node: NodeId
    reason: Reason
    peer: NodeId
    since_ns: int
    detail: str

    @property
    def blames_node(self) -> bool:
        """Whether the whole node is to be avoided, and not one link."""
        return self.reason is not Reason.ONE_WAY


_Key = tuple[NodeId, Reason, NodeId]


class _Symptom:
    """since_ns: first seen; seen_ns: last seen; counts: whether it lasted long enough."""

    __slots__ = ("counts", "detail", "seen_ns", "since_ns", "weight")

    def __init__(self, now_ns: int) -> None:
        self.since_ns = now_ns
        self.seen_ns = now_ns
        self.counts = False
        self.detail = ""
        self.weight = 0


class GrayFailures:
    """Judges reports. Feed it every report as it comes; ask `findings` or `avoid` about every second, for
    symptoms are looked for when it is asked."""

    def __init__(self, options: GrayOptions | None = None) -> None:
        self.options = options or GrayOptions()
        self.dropped = 0
        self._reports: dict[NodeId, tuple[int, Report]] = {}
        self._symptoms: dict[_Key, _Symptom] = {}

    def report(self, now_ns: int, report: Report) -> None:
        """A node's report; it replaces the node's earlier one. One that makes no sense is dropped."""
        known = report.node in self._reports
        full = len(self._reports) >= self.options.max_members and not known
        ages = report.heard.values()
        if report.node < 1 or report.fsync_ns < 0 or len(ages) > self.options.max_members or full:
            self.dropped += 1
            return
        if any(age_ns < 0 for age_ns in ages):
            self.dropped += 1
            return
        self._reports[report.node] = (now_ns, report)

    def forget(self, node: NodeId) -> None:
        """The node is no member any more."""
        self._reports.pop(node, None)
        for key in list(self._symptoms):
            if node in (key[0], key[2]):
                del self._symptoms[key]

    def findings(self, now_ns: int) -> tuple[Finding, ...]:
        """Everything to be routed around now, sorted by node; at most a minority of nodes is blamed, those
        whose symptoms are worst."""
        self._judge(now_ns)
        counting = [(key, symptom) for key, symptom in self._symptoms.items() if symptom.counts]
        worst: dict[NodeId, int] = {}
        for (node, reason, _), symptom in counting:
            if reason is not Reason.ONE_WAY:
                worst[node] = max(worst.get(node, 0), symptom.weight)
        minority = max(0, (len(self._reports) - 1) // 2)
        blamed = sorted(worst, key=lambda node: (-worst[node], node))[:minority]
        return tuple(
            sorted(
                Finding(node, reason, peer, symptom.since_ns, symptom.detail)
                for (node, reason, peer), symptom in counting
                if reason is Reason.ONE_WAY or node in blamed
            )
        )

    def avoid(self, now_ns: int) -> tuple[NodeId, ...]:
        """The nodes to be routed around, sorted."""
        return tuple(sorted({finding.node for finding in self.findings(now_ns) if finding.blames_node}))

    # -- the rules

    def _judge(self, now_ns: int) -> None:
        fresh = {
            node: report
            for node, (at_ns, report) in sorted(self._reports.items())
            if now_ns - at_ns <= self.options.stale_ns
        }
        seen: dict[_Key, tuple[int, str]] = {}
        self._slow_disks(fresh, seen)
        self._one_way_links(fresh, seen)
        for key, (weight, detail) in seen.items():
            symptom = self._symptoms.setdefault(key, _Symptom(now_ns))
            symptom.seen_ns, symptom.weight, symptom.detail = now_ns, weight, detail
            symptom.counts = symptom.counts or now_ns - symptom.since_ns >= self.options.enter_ns
        for key, symptom in list(self._symptoms.items()):
            gone_ns = now_ns - symptom.seen_ns
            # One that never counted begins anew each time: only what lasts without a break counts.
            if key not in seen and (not symptom.counts or gone_ns >= self.options.leave_ns):
                del self._symptoms[key]

    def _slow_disks(self, fresh: Mapping[NodeId, Report], seen: dict[_Key, tuple[int, str]]) -> None:
        latencies = sorted(report.fsync_ns for report in fresh.values() if report.fsync_ns > 0)
        for node, report in fresh.items():
            own_ns = report.fsync_ns
            if own_ns < self.options.floor_ns:
                continue
            median_ns = median_without(latencies, own_ns)
            key = (node, Reason.SLOW_DISK, 0)
            held = key in self._symptoms and self._symptoms[key].counts
            factor = self.options.well_factor if held else self.options.slow_factor
            if median_ns > 0 and own_ns >= factor * median_ns:
                detail = (
                    f"an fsync takes {own_ns / 1e6:.1f} ms, the others' median is {median_ns / 1e6:.1f} ms"
                )
                seen[key] = (1000 * own_ns // median_ns, detail)

    def _one_way_links(self, fresh: Mapping[NodeId, Report], seen: dict[_Key, tuple[int, str]]) -> None:
        """Of every pair: does one hear and the other not? A node at the losing end of half of its links or
        more, and of two at least, is itself what is wrong with them."""
        lost: list[tuple[NodeId, NodeId]] = [
            (source, target)
            for source in fresh
            for target in fresh
            if source != target and self._one_way(fresh[source], fresh[target])
        ]
        unheard: dict[NodeId, int] = {}
        unhearing: dict[NodeId, int] = {}
        for source, target in lost:
            unheard[source] = unheard.get(source, 0) + 1
            unhearing[target] = unhearing.get(target, 0) + 1
        links = len(fresh) - 1
        mute = {node for node, count in unheard.items() if count >= 2 and 2 * count >= links}
        deaf = {node for node, count in unhearing.items() if count >= 2 and 2 * count >= links}
        for node in sorted(mute):
            detail = f"{unheard[node]} of {links} nodes that it hears do not hear it"
            seen[node, Reason.MUTE, 0] = (1000 * unheard[node], detail)
        for node in sorted(deaf):
            detail = f"it does not hear {unhearing[node]} of {links} nodes, which hear it"
            seen[node, Reason.DEAF, 0] = (1000 * unhearing[node], detail)
        for source, target in lost:
            if source not in mute and target not in deaf:
                detail = f"node {source} hears node {target}, which does not hear node {source}"
                seen[source, Reason.ONE_WAY, target] = (0, detail)

    def _one_way(self, source: Report, target: Report) -> bool:
        """Whether `source` hears `target` while what it sends does not arrive there."""
        hears = source.heard.get(target.node)
        if hears is None or hears > self.options.fresh_ns:
            return False
        heard = target.heard.get(source.node)
        return heard is None or heard >= self.options.silent_ns


def median_without(ordered: Iterable[int], one: int) -> int:
    """The median of the others, one occurrence of `one` left out; 0 where fewer than two are left, as one
    alone cannot say which of the two is slow."""
    rest = list(ordered)
    if one in rest:
        rest.remove(one)
    if len(rest) < 2:
        return 0
    middle = len(rest) // 2
    return rest[middle] if len(rest) % 2 else (rest[middle - 1] + rest[middle]) // 2
