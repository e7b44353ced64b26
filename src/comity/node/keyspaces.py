"""The catalogue of keyspaces on this node: adopted as the control group decides, confirmed, changed.

The control group is the `default` keyspace's. What it has applied here decides which keyspaces there are;
`Keyspaces.consider` brings the groups of this host in line, and tells the leader once nothing is served under
an older catalogue. A node that starts serves nothing of the catalogue until it knows that what it has
applied is as new as anything committed before it started.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from comity.formats import resp
from comity.keyspaces import definition
from comity.keyspaces.creation import Edit
from comity.keyspaces.definition import ACTIVE, ANNOUNCED, Catalogue, Keyspace, KeyspaceError
from comity.node import building, messages
from comity.node.config import MILLISECOND_NS
from comity.node.connection import Connection, Run
from comity.node.errors import NO_MEMBER
from comity.node.governor import Governor
from comity.node.group import Group
from comity.node.placement import follow
from comity.node.served import Served, Unknown
from comity.node.wanted import Wanted
from comity.replica import NEVER, Operation, Outcome, Protocol, ReadAt, RemoveMember, ReplaceMembers
from comity.store.commands.catalogue import NAME

if TYPE_CHECKING:
    from comity.node.host import Host

REPORT_NS = 200 * MILLISECOND_NS
ASK_AGAIN_NS = 100 * MILLISECOND_NS
ATTEMPTS = 20
"""How often a change is tried anew because another came before it."""

WAITING_CHANGES = 100

UNKNOWN_NUMBER = 0xFFFF_FFFE
STARTING = "LOADING this node does not know yet which keyspaces there are"


class Change:
    """A client's wish to change the catalogue. done: given the reply; holds: whether it is in force."""

    __slots__ = ("attempts", "done", "due_ns", "edit", "holds", "what")

    def __init__(
        self,
        edit: Edit,
        what: str,
        holds: Callable[[Catalogue], bool],
        done: Callable[[bytes], None],
        due_ns: int,
    ) -> None:
        self.edit = edit
        self.what = what
        self.holds = holds
        self.done = done
        self.due_ns = due_ns
        self.attempts = 0


class Keyspaces:
    """The keyspaces of one host beside those it was started with."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.catalogue = definition.EMPTY
        self.governor = Governor(self)
        self.ready = False
        self.confirmed = 0
        self.waiting: list[Change] = []
        self.unknown = Unknown(host, UNKNOWN_NUMBER, "?", host.default.protocol)
        """Where keys belong whose keyspace this node does not know yet."""
        self.unknown.closed = STARTING
        self.wanted = Wanted(self)
        self._version = 0
        self._adopted_ns = 0
        self._numbers: dict[str, int] = {}
        self._member = True
        self._ready_at = -1
        self._asked = 0
        self._ask_ns = NEVER
        self._report_ns = NEVER
        self._reported = 0
        self._sequence = 0
        self._connection = Connection(0, "", resp.RequestParser(), 0)

    # -- becoming ready

    def start(self) -> None:
        """What the disk knows, then what is committed."""
        self._adopt()
        self._ask()

    def _ask(self) -> None:
        """Ask up to where the control group's log was committed before now."""
        host = self.host
        self._asked = host.request()
        self._ask_ns = host.now_ns + 10 * ASK_AGAIN_NS
        host.default.administering[self._asked] = self._answered
        host.default.core.read(host.now_ns, self._asked)
        host.dirty(host.default)

    def _answered(self, outcome: Outcome) -> None:
        if isinstance(outcome, ReadAt):
            self._ready_at = outcome.index
            self._ask_ns = NEVER
        else:
            self._ask_ns = self.host.now_ns + ASK_AGAIN_NS

    # -- adopting

    def consider(self) -> None:
        """Each turn: take over what was applied, confirm what can be, govern if this node leads."""
        host = self.host
        machine = host.default.machine
        if machine.catalogue[0] != self._version:
            self._adopt()
        if not self.ready and 0 <= self._ready_at <= machine.applied:
            self.ready = True
            first = definition.FIRST_NUMBER
            building.clear_leftovers(host, range(first, first + self.catalogue.numbers))
            self.wanted.settle()
            self._reopen()
        if self.confirmed < self._version and self._quiet():
            self.confirmed = self._version
            self._report_ns = host.now_ns
        if self.waiting:
            self._answer_waiting()
        self.wanted.consider()

    @property
    def due_ns(self) -> int:
        """When `wake` wants to be called."""
        due = min(self._ask_ns, self._report_ns, self.governor.due_ns, self.wanted.due_ns)
        return min(due, self.waiting[0].due_ns) if self.waiting else due

    def wake(self) -> None:
        """Time has passed."""
        host = self.host
        now = host.now_ns
        if now >= self._ask_ns:
            host.default.administering.pop(self._asked, None)
            self._ask()
        if now >= self._report_ns:
            if not self._member:
                host.hand_over()  # It hears of no view any more that it would have to follow.
            self._follow_views()
            self._report()
        self.governor.wake(now)
        if self.waiting:
            self._answer_waiting()
        self.wanted.consider()

    def _quiet(self) -> bool:
        """Whether everything asked under an older catalogue is answered."""
        host = self.host
        groups = (*host.groups.values(), *host.elsewhere.values())
        return all(group.oldest_ns() > self._adopted_ns for group in groups)

    def _adopt(self) -> None:
        host = self.host
        version, data = host.default.machine.catalogue
        if version == self._version:
            return
        self.catalogue = definition.decode(data)
        self._version = version
        self._adopted_ns = host.now_ns
        wanted = {keyspace.number: keyspace for keyspace in self.catalogue.keyspaces.values()}
        for name, number in list(self._numbers.items()):
            if number not in wanted:
                del self._numbers[name]
                host.remove_group(number)
        for keyspace in wanted.values():
            self._bring_in_line(keyspace)
        if self.ready:
            self.wanted.settle()
        self._reopen()
        host.peers.members_changed()
        host.note("catalogue adopted", version=version, keyspaces=len(wanted))
        self._report_ns = host.now_ns + REPORT_NS
        self.governor.catalogue_changed()

    def _bring_in_line(self, keyspace: Keyspace) -> None:
        host = self.host
        node, number = host.config.node, keyspace.number
        here = node in keyspace.view.everyone()
        group = host.groups.get(number)
        # What the disk has of it is looked after by its core as long as the keyspace lives: logs are
        # compacted, and should it come back, it is known what this node has promised.
        fresh = group is None and number not in host.elsewhere
        if group is None and (here or node in keyspace.nodes or (fresh and building.holds(host, number))):
            group = host.add_keyspace(keyspace)
        elif group is not None and group.view is not None and group.view.epoch < keyspace.view.epoch:
            group.core.view(host.now_ns, keyspace.view)
            host.dirty(group)
        if isinstance(group, Group) and not group.viewed:
            # Until it follows the log, a replica here can answer nobody: those who hold it do.
            here = node in (*keyspace.view.nodes, *keyspace.view.outgoing)
        if group is not None and here:
            host.serve_here(group)
        else:
            host.serve_elsewhere(keyspace)
        self._numbers[keyspace.name] = number
        for served in self._served(keyspace):
            served.level = keyspace.level
            served.configure(keyspace.options, len(keyspace.nodes))

    def members_changed(self) -> None:
        """Who is no member hears no more of the catalogue, and nobody waits for it to."""
        node, members = self.host.config.node, self.host.default.core.members
        member = node in members.everyone()
        if member != self._member:
            self._member = member
            self._reopen()

    def objection(self, operation: Operation) -> str:
        """Why members that work may not be removed: they have what too few others have. "" if they may."""
        host = self.host
        if isinstance(operation, RemoveMember):
            leaving: tuple[int, ...] = (operation.node,)
        elif isinstance(operation, ReplaceMembers):
            everyone = host.default.core.members.everyone()
            leaving = tuple(node for node in everyone if node not in operation.voters)
        else:
            return ""
        for keyspace in self.catalogue.keyspaces.values():
            reason = self._needed(keyspace, leaving)
            if reason:
                return reason
        return ""

    def _needed(self, keyspace: Keyspace, leaving: Sequence[int]) -> str:
        """Why a keyspace cannot do without members that are to leave and work, "" if it can."""
        host = self.host
        view = keyspace.view
        protocol = host.protocols[keyspace.replication]
        working = host.peers.up | {host.config.node}
        if not any(node in working for node in leaving if node in (*view.nodes, *view.outgoing)):
            return ""
        if isinstance(protocol, Protocol) and not protocol.views and (view.joining or view.outgoing):
            return (
                f"keyspace '{keyspace.name}' is moving, and those who hold it now are needed for that: try "
                f"again once KEYSPACE INFO {keyspace.name} shows nobody as joining or outgoing"
            )
        members = host.default.core.members.everyone()
        any_does = protocol.views if isinstance(protocol, Protocol) else protocol.semantics == "lattice"
        for nodes in (view.nodes, view.outgoing):
            # Who is gone, or dead, decides nothing.
            staying = [node for node in nodes if node in working and node in members and node not in leaving]
            enough = bool(staying) if any_does else 2 * len(staying) > len(nodes)
            if nodes and not enough and any(node in leaving for node in nodes):
                holders = ", ".join(map(str, nodes))
                return (
                    f"keyspace '{keyspace.name}' is held by {holders}, and the others that work would be too "
                    f"few: give it more replicas first (KEYSPACE ALTER {keyspace.name} REPLICAS), or drop it"
                )
        return ""

    def _served(self, keyspace: Keyspace) -> list[Served]:
        host = self.host
        found = (host.groups.get(keyspace.number), host.elsewhere.get(keyspace.number))
        return [served for served in found if served is not None]

    def _reopen(self) -> None:
        """Which keyspaces are served, and why not the others."""
        for keyspace in self.catalogue.keyspaces.values():
            for served in self._served(keyspace):
                served.closed = self._closed(keyspace)
        self.unknown.closed = self.wanted.closed if self.ready and self.wanted.missing else STARTING
        self.host.dispatcher.groups_changed()

    def _closed(self, keyspace: Keyspace) -> str:
        if not self.ready:
            return STARTING
        if not self._member:
            return NO_MEMBER[1:-2].decode()
        if keyspace.state == ANNOUNCED:
            return f"TRYAGAIN keyspace '{keyspace.name}' is being created; see KEYSPACE INFO {keyspace.name}"
        if keyspace.state != ACTIVE:
            return f"TRYAGAIN keyspace '{keyspace.name}' is being dropped"
        return ""

    def _follow_views(self) -> None:
        """Logs led here that vote on their own members are brought to those that the catalogue names."""
        if not self.ready:
            return
        for keyspace in self.catalogue.keyspaces.values():
            group = self.host.groups.get(keyspace.number)
            if isinstance(group, Group) and not group.viewed:
                follow(self.host, group, keyspace)

    # -- reporting

    def _report(self) -> None:
        host = self.host
        self._report_ns = host.now_ns + REPORT_NS if self.catalogue.keyspaces else NEVER
        self._sequence += 1
        now = host.now_ns
        report = messages.Report(
            self.confirmed,
            self._positions(),
            host.incarnation,
            self._sequence,
            host.fsync_ns,
            {peer: now - heard_ns for peer, heard_ns in sorted(host.peers.heard_ns.items())},
        )
        leader = host.default.core.leader
        if leader == host.config.node:
            self.governor.heard(leader, report)
        elif leader:
            host.send(leader, 0, messages.KIND_REPORT, messages.encode(report))
        if self.confirmed != self._reported or not leader:
            self._reported = self.confirmed if leader else -1
            self._report_ns = host.now_ns + REPORT_NS

    def _positions(self) -> dict[int, messages.Position]:
        positions = {}
        for number in self._numbers.values():
            group = self.host.groups.get(number)
            if group is None:
                continue
            core = group.core
            if group.keyed:
                positions[number] = messages.Position(core.current.epoch, core.settled, (), (0, 0))
            elif group.view is not None:
                positions[number] = messages.Position(group.view.epoch, 0, core.caught_up, core.position)
            elif group.leads:
                view = self.catalogue.keyspaces[group.name].view
                followed = core.steady and core.members.voters == tuple(sorted(view.nodes))
                settled = view.epoch if followed else 0
                positions[number] = messages.Position(view.epoch, settled, core.caught_up, (0, 0))
        return positions

    # -- changing

    def change(
        self, edit: Edit, what: str, holds: Callable[[Catalogue], bool], done: Callable[[bytes], None]
    ) -> None:
        """Change the catalogue. done is called with the reply: once the change holds, or when it cannot be,
        or when the deadline has passed, with what is known."""
        if len(self.waiting) >= WAITING_CHANGES:
            done(resp.error(f"TRYAGAIN {WAITING_CHANGES} changes are under way: nothing was done"))
            return
        due_ns = self.host.now_ns + self.host.config.bounds.request_deadline_ns
        change = Change(edit, what, holds, done, due_ns)
        self.waiting.append(change)
        self._try(change)

    def _try(self, change: Change) -> None:
        change.attempts += 1
        try:
            after = change.edit(self.catalogue)
        except KeyspaceError as error:
            self._end(change, resp.error(f"ERR {error}"))
            return
        if after is self.catalogue:
            return
        self.put(after, lambda replies: self._tried(change, replies[0]))

    def put(self, after: Catalogue, then: Callable[[list[bytes]], None]) -> None:
        """Have the control group replace the catalogue of now by this one; `then` gets its answer."""
        host = self.host
        builder = host.default.builder(2)
        command = [NAME, b"%d" % self._version, definition.encode(after)]
        builder.commands.append(command)
        builder.size += sum(map(len, command))
        route = host.dispatcher.routes.by_name[b"SET"]
        host.default.added(builder, Run(self._connection, 1, host.now_ns, route, then))
        host.dirty(host.default)

    def _tried(self, change: Change, reply: bytes) -> None:
        if change not in self.waiting or reply == resp.OK:
            return
        if reply.startswith(b"-CONFLICT") and change.attempts < ATTEMPTS:
            self._adopt()
            self._try(change)
            return
        self._end(change, reply)

    def _answer_waiting(self) -> None:
        for change in list(self.waiting):
            if change.holds(self.catalogue):
                self._end(change, resp.OK)
            elif self.host.now_ns >= change.due_ns:
                missing = self.governor.unconfirmed()
                words = f"; not confirmed by nodes {', '.join(map(str, missing))}" if missing else ""
                self._end(
                    change,
                    resp.error(
                        f"INDETERMINATE {change.what} is not in force yet and may still come{words}; "
                        "see KEYSPACE LIST"
                    ),
                )

    def _end(self, change: Change, reply: bytes) -> None:
        if change in self.waiting:
            self.waiting.remove(change)
            change.done(reply)

    # -- looking inside

    def describe(self, keyspace: Keyspace) -> dict[str, Any]:
        """For KEYSPACE INFO, JSON-friendly."""
        words: dict[str, Any] = msgspec.to_builtins(keyspace)
        words["view"] = {
            "epoch": keyspace.view.epoch,
            "nodes": list(keyspace.view.nodes),
            "joining": list(keyspace.view.joining),
            "outgoing": list(keyspace.view.outgoing),
        }
        return words
