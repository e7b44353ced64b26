"""The control group's leader at work: it takes keyspaces into force, and gives out views.

Every node reports to it what it has confirmed and where its replicas stand; who has not been heard of for
a while is suspected. A view is changed one step at a time, and every step is an entry of the control group's
log, so a governor that is deposed in the middle of anything leaves nothing half done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.detectors import GrayFailures, PhiDetector, PhiOptions, Status
from comity.detectors import Report as GrayReport
from comity.detectors.messages import Heartbeat
from comity.keyspaces import definition
from comity.keyspaces.choices import chosen_level
from comity.keyspaces.definition import ACTIVE, ANNOUNCED, CLOSING, Catalogue, Keyspace, KeyspaceError
from comity.node.config import MILLISECOND_NS
from comity.node.messages import Position, Report
from comity.replica import NEVER, KeyedProtocol, Protocol, Stream, View

if TYPE_CHECKING:
    from comity.node.keyspaces import Keyspaces

STEP_NS = 100 * MILLISECOND_NS
HAND_OVER_NS = 10_000 * MILLISECOND_NS
PHI = PhiOptions(
    interval_ns=200 * MILLISECOND_NS, min_std_ns=100 * MILLISECOND_NS, pause_ns=300 * MILLISECOND_NS
)
"""Reports are the heartbeats. A pause of collecting garbage or of a busy machine is no death: a node is held
dead about a second after its last report."""

RETRY_NS = 3000 * MILLISECOND_NS
"""How long an unanswered change of the catalogue keeps the next one waiting."""


class Governor:
    """What the leader of the control group knows and does; on other nodes it sleeps."""

    def __init__(self, keyspaces: Keyspaces) -> None:
        self.keyspaces = keyspaces
        self.host = keyspaces.host
        self.due_ns = NEVER
        self.reports: dict[int, Report] = {}
        self.detector: PhiDetector | None = None
        """While this node governs."""
        self.gray = GrayFailures()
        self.avoided: tuple[int, ...] = ()
        self._handed_over_ns = 0
        self._putting_ns = 0

    @property
    def governs(self) -> bool:
        """Whether this node leads the control group."""
        return self.host.default.leads

    def catalogue_changed(self) -> None:
        """There may be something to do."""
        self._putting_ns = 0
        self.due_ns = self.host.now_ns

    def heard(self, node: int, report: Report) -> None:
        """A node's report."""
        if node not in self.host.default.core.members.everyone():
            return
        now = self.host.now_ns
        last = self.reports.get(node)
        if last is not None and (report.incarnation, report.sequence) <= (last.incarnation, last.sequence):
            return  # Late, or twice: what the node said since counts.
        self.reports[node] = report
        if self.detector is not None:
            self.detector.receive(now, node, Heartbeat(report.incarnation, report.sequence))
        self.gray.report(now, GrayReport(node, report.fsync_ns, report.heard))
        self.due_ns = min(self.due_ns, now)

    def wake(self, now_ns: int) -> None:
        """Look at everything once, and change what has to be."""
        if now_ns < self.due_ns:
            return
        if not self.governs:
            self.detector = None
            self.due_ns = now_ns + 5 * STEP_NS if self.keyspaces.catalogue.keyspaces else NEVER
            return
        if self.detector is None:
            self._begin(now_ns)
        self._watch(now_ns)
        self.due_ns = now_ns + STEP_NS if self.keyspaces.catalogue.keyspaces else NEVER
        if now_ns < self._putting_ns:
            return
        after = self._next(self.keyspaces.catalogue)
        if after is not None:
            self._putting_ns = now_ns + RETRY_NS
            self.keyspaces.put(after, self._put)

    def _begin(self, now_ns: int) -> None:
        """To govern, from what nodes report from now on: until they had time to, everybody is alive."""
        host = self.host
        self.reports.clear()
        self.gray = GrayFailures()
        stream = Stream(host.seed, f"{host.config.node}/{host.incarnation}/governor")
        self.detector = PhiDetector(host.config.node, (), stream, PHI)
        self.detector.start(now_ns)

    def _watch(self, now_ns: int) -> None:
        """Who is alive, and who works so badly that it is better left out."""
        detector = self.detector
        assert detector is not None
        members = self.host.default.core.members.everyone()
        for node in [node for node in self.reports if node not in members]:
            del self.reports[node]
            self.gray.forget(node)
        detector.view(now_ns, members)
        detector.wake(now_ns)
        for transition in detector.take(now_ns).transitions:
            status = transition.status.name.lower()
            self.host.note("member " + status, node=transition.node, incarnation=transition.incarnation)
        avoided = tuple(node for node in self.gray.avoid(now_ns) if node in members)
        if avoided != self.avoided:
            self.avoided = avoided
            for finding in self.gray.findings(now_ns):
                self.host.note(
                    "gray failure", node=finding.node, reason=finding.reason, detail=finding.detail
                )
        if self.host.config.node in avoided and now_ns - self._handed_over_ns > HAND_OVER_NS:
            self._handed_over_ns = now_ns
            self.host.hand_over()

    def _put(self, replies: list[bytes]) -> None:
        self._putting_ns = 0
        self.due_ns = self.host.now_ns

    def _next(self, catalogue: Catalogue) -> Catalogue | None:
        for name, keyspace in catalogue.keyspaces.items():
            if keyspace.state == ACTIVE:
                nodes = self._still_members(keyspace)
                if nodes != keyspace.nodes:
                    self.host.note("other members hold a keyspace", keyspace=name, nodes=list(nodes))
                    return definition.alter(catalogue, name, keyspace.level, nodes, keyspace.replicas)
                view = self._next_view(keyspace)
                if view is not None:
                    self.host.note("view", keyspace=name, epoch=view.epoch, nodes=list(view.nodes))
                    return definition.with_view(catalogue, name, view)
                if keyspace.altered and not self.unconfirmed(keyspace.altered):
                    return definition.changed(catalogue, name, altered=0)
            elif not self.unconfirmed(keyspace.since):
                if keyspace.state == ANNOUNCED:
                    return definition.changed(catalogue, name, state=ACTIVE)
                if keyspace.state == CLOSING:
                    return definition.removed(catalogue, name)
        return None

    def unconfirmed(self, version: int | None = None) -> list[int]:
        """Members that have not confirmed a version of the catalogue, the newest by default."""
        wanted = self.keyspaces.catalogue.version if version is None else version
        return [
            node
            for node in self.host.default.core.members.everyone()
            if node not in self.reports or self.reports[node].version < wanted
        ]

    def _still_members(self, keyspace: Keyspace) -> tuple[int, ...]:
        """Who is to hold a keyspace: as soon as there are any, others in place of those who are no members
        any more."""
        members = self.host.default.core.members
        everyone = members.everyone()
        protocol = self.host.protocols[keyspace.replication]
        kept = [node for node in keyspace.nodes if node in everyone]
        fixed = isinstance(protocol, Protocol) and not protocol.views and not protocol.members
        if fixed or not kept or len(kept) == len(keyspace.nodes) == keyspace.replicas:
            return keyspace.nodes
        others = [node for node in members.voters if node not in kept]
        nodes = (*kept, *others[: max(0, keyspace.replicas - len(kept))])
        try:
            chosen_level(protocol, keyspace.options, len(nodes), keyspace.level)
        except KeyspaceError:
            # Fewer could not give what is promised: until there are others it has to do.
            return keyspace.nodes
        return nodes

    # -- views

    def alive(self, node: int) -> bool:
        """Whether a node is not held dead."""
        if node == self.host.config.node:
            return True
        if node not in self.host.default.core.members.everyone():
            return False
        return self.detector is None or self.detector.state(node) is not Status.DEAD

    def usable(self, node: int) -> bool:
        """Whether a node is alive and works as it should."""
        return self.alive(node) and node not in self.avoided

    def position(self, keyspace: Keyspace, node: int) -> Position | None:
        """Where a node's replica stands, as it said last."""
        report = self.reports.get(node)
        return None if report is None else report.groups.get(keyspace.number)

    def _next_view(self, keyspace: Keyspace) -> View | None:
        """The next view of a keyspace, None where the one in force will do."""
        protocol = self.host.protocols[keyspace.replication]
        if isinstance(protocol, KeyedProtocol):
            return self._next_of_quorums(keyspace, protocol)
        return self._next_of_order(keyspace) if protocol.views else self._next_of_voters(keyspace)

    def _next_of_quorums(self, keyspace: Keyspace, protocol: KeyedProtocol) -> View | None:
        """Nobody is left out for being away; a move ends when everybody's state has moved."""
        view = keyspace.view
        members = self.host.default.core.members.everyone()
        if view.outgoing:
            if set(keyspace.nodes) != set(view.nodes) and any(node not in members for node in view.nodes):
                # What was decided meanwhile is also at those it moves away from: it begins anew from there.
                return View(view.epoch + 1, keyspace.nodes, outgoing=view.outgoing)
            if protocol.semantics == "lattice" and any(node not in members for node in view.outgoing):
                staying = tuple(node for node in view.outgoing if node in members)
                return View(view.epoch + 1, view.nodes, outgoing=staying)
            settled = {node for node in view.everyone() if self._settled(keyspace, node)}
            behind = [node for node in view.outgoing if node not in settled and node in members]
            most = (len(view.outgoing) - 1) // 2 if protocol.majority_settles else 0
            if not settled.issuperset(view.nodes) or len(behind) > most:
                return None
            return View(view.epoch + 1, view.nodes)
        if set(keyspace.nodes) != set(view.nodes):
            return View(view.epoch + 1, keyspace.nodes, outgoing=view.nodes)
        return None

    def _settled(self, keyspace: Keyspace, node: int) -> bool:
        """Whether a node says that nothing of the view before is needed any more."""
        position = self.position(keyspace, node)
        return position is not None and position.settled >= keyspace.view.epoch

    def _next_of_voters(self, keyspace: Keyspace) -> View | None:
        """For a log that votes on its own members: who is to hold it follows it first, and once all of them
        have caught up they are in the place of those who go."""
        view = keyspace.view
        if view.epoch == 1 and all(self.position(keyspace, node) is None for node in view.nodes):
            return None  # Until a quorum has voted, all of its founders may have to found it anew.
        joining = tuple(node for node in keyspace.nodes if node not in view.nodes)
        if view.outgoing and any(self._settled(keyspace, node) for node in view.everyone()):
            return View(view.epoch + 1, view.nodes, view.joining)
        if joining != view.joining:
            return View(view.epoch + 1, view.nodes, joining, view.outgoing)
        if set(keyspace.nodes) == set(view.nodes):
            return None
        # Until the log says that it has followed, those of before may be needed to decide anything.
        before = tuple(dict.fromkeys((*view.outgoing, *view.nodes)))
        for node in before:
            position = self.position(keyspace, node)
            current = position is not None and position.epoch == view.epoch
            if position is not None and current and set(joining).issubset(position.caught_up):
                return View(view.epoch + 1, keyspace.nodes, outgoing=before)
        return None

    def _next_of_order(self, keyspace: Keyspace) -> View | None:
        """Who is away leaves; who has caught up enters, last; who is back joins."""
        view = keyspace.view
        # Those who only work badly are left out where others remain to hold what they hold.
        usable = [node for node in view.nodes if self.usable(node)]
        alive = usable if len(usable) > 1 else [node for node in view.nodes if self.alive(node)]
        if not alive:
            return None  # Only a member of this view has everything: one of them must come back.
        joining = tuple(node for node in view.joining if self.usable(node) and node in keyspace.nodes)
        if len(alive) < len(view.nodes):
            if alive[0] != view.nodes[0] and keyspace.options.get("mode") == "async":
                alive = self._furthest_first(keyspace, alive)
            return View(view.epoch + 1, tuple(alive), joining)
        for node in view.nodes:
            position = self.position(keyspace, node)
            if position is not None and position.epoch == view.epoch:
                for joined in position.caught_up:
                    if joined in joining:
                        rest = tuple(other for other in joining if other != joined)
                        return View(view.epoch + 1, (*view.nodes, joined), rest)
        if joining != view.joining:
            return View(view.epoch + 1, view.nodes, joining)
        away = [node for node in keyspace.nodes if node not in view.nodes and node not in joining]
        back = [node for node in away if self.usable(node)]
        if back:
            return View(view.epoch + 1, view.nodes, (*joining, back[0]))
        staying = [node for node in view.nodes if node in keyspace.nodes]
        if not joining and 0 < len(staying) < len(view.nodes):
            # Whoever was to take their place has, or is away.
            if staying[0] != view.nodes[0] and keyspace.options.get("mode") == "async":
                staying = self._furthest_first(keyspace, staying)
            return View(view.epoch + 1, tuple(staying))
        return None

    def _furthest_first(self, keyspace: Keyspace, nodes: list[int]) -> list[int]:
        """The replica that has most takes over: what only the lost primary had is lost."""

        def held(node: int) -> tuple[int, int, int]:
            position = self.position(keyspace, node)
            return (*(position.position if position is not None else (0, 0)), -node)

        first = max(nodes, key=held)
        return [first, *(node for node in nodes if node != first)]
