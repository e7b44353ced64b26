"""The control group's leader at work: it takes keyspaces into force, and gives out views.

Every node reports to it what it has confirmed and where its replicas stand; who has not been heard of for
a while is suspected. A view is changed one step at a time, and every step is an entry of the control group's
log, so a governor that is deposed in the middle of anything leaves nothing half done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.keyspaces import definition
from comity.keyspaces.definition import ACTIVE, ANNOUNCED, CLOSING, Catalogue, Keyspace
from comity.node.config import MILLISECOND_NS
from comity.node.messages import Position, Report
from comity.replica import NEVER, KeyedProtocol, View

if TYPE_CHECKING:
    from comity.node.keyspaces import Keyspaces

STEP_NS = 100 * MILLISECOND_NS
SUSPECT_NS = 1000 * MILLISECOND_NS
RETRY_NS = 3000 * MILLISECOND_NS
"""How long an unanswered change of the catalogue keeps the next one waiting."""


class Governor:
    """What the leader of the control group knows and does; on other nodes it sleeps."""

    def __init__(self, keyspaces: Keyspaces) -> None:
        self.keyspaces = keyspaces
        self.host = keyspaces.host
        self.due_ns = NEVER
        self.reports: dict[int, Report] = {}
        self.heard_ns: dict[int, int] = {}
        self._led_since_ns = NEVER
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
        self.reports[node] = report
        self.heard_ns[node] = self.host.now_ns
        self.due_ns = min(self.due_ns, self.host.now_ns)

    def wake(self, now_ns: int) -> None:
        """Look at everything once, and change what has to be."""
        if now_ns < self.due_ns:
            return
        if not self.governs:
            self._led_since_ns = NEVER
            self.due_ns = now_ns + 5 * STEP_NS if self.keyspaces.catalogue.keyspaces else NEVER
            return
        if self._led_since_ns == NEVER:
            self._led_since_ns = now_ns
            self.reports.clear()
        self.due_ns = now_ns + STEP_NS if self.keyspaces.catalogue.keyspaces else NEVER
        if now_ns < self._putting_ns:
            return
        after = self._next(self.keyspaces.catalogue)
        if after is not None:
            self._putting_ns = now_ns + RETRY_NS
            self.keyspaces.put(after, self._put)

    def _put(self, replies: list[bytes]) -> None:
        self._putting_ns = 0
        self.due_ns = self.host.now_ns

    def _next(self, catalogue: Catalogue) -> Catalogue | None:
        for name, keyspace in catalogue.keyspaces.items():
            if keyspace.state == ACTIVE:
                view = self._next_view(keyspace)
                if view is not None:
                    self.host.note("view", keyspace=name, epoch=view.epoch, nodes=list(view.nodes))
                    return definition.with_view(catalogue, name, view)
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

    # -- views

    def alive(self, node: int) -> bool:
        """Whether a node was heard of lately; while this node has not led for long, everybody is."""
        if node == self.host.config.node:
            return True
        since = max(self.heard_ns.get(node, 0), self._led_since_ns)
        return self.host.now_ns - since <= SUSPECT_NS

    def position(self, keyspace: Keyspace, node: int) -> Position | None:
        """Where a node's replica stands, as it said last."""
        report = self.reports.get(node)
        return None if report is None else report.groups.get(keyspace.number)

    def _next_view(self, keyspace: Keyspace) -> View | None:
        """The next view of a keyspace, None where the one in force will do."""
        protocol = self.host.protocols[keyspace.replication]
        if isinstance(protocol, KeyedProtocol):
            return self._next_of_quorums(keyspace)
        return self._next_of_order(keyspace) if protocol.views else None

    def _next_of_quorums(self, keyspace: Keyspace) -> View | None:
        """Nobody is left out for being away; a move ends when everybody's state has moved."""
        view = keyspace.view
        if view.outgoing:
            for node in view.nodes:
                position = self.position(keyspace, node)
                if position is None or position.settled < view.epoch:
                    return None
            return View(view.epoch + 1, view.nodes)
        if set(keyspace.nodes) != set(view.nodes):
            return View(view.epoch + 1, keyspace.nodes, outgoing=view.nodes)
        return None

    def _next_of_order(self, keyspace: Keyspace) -> View | None:
        """Who is away leaves; who has caught up enters, last; who is back joins."""
        view = keyspace.view
        alive = [node for node in view.nodes if self.alive(node)]
        if not alive:
            return None  # Only a member of this view has everything: one of them must come back.
        joining = tuple(node for node in view.joining if self.alive(node))
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
        back = [
            node
            for node in keyspace.nodes
            if node not in view.nodes and node not in joining and self.alive(node)
        ]
        if back:
            return View(view.epoch + 1, view.nodes, (*joining, back[0]))
        return None

    def _furthest_first(self, keyspace: Keyspace, nodes: list[int]) -> list[int]:
        """The replica that has most takes over: what only the lost primary had is lost."""

        def held(node: int) -> tuple[int, int, int]:
            position = self.position(keyspace, node)
            return (*(position.position if position is not None else (0, 0)), -node)

        first = max(nodes, key=held)
        return [first, *(node for node in nodes if node != first)]
