"""The peers of a node: with whom it links, who is listened to, and what arrives from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from comity.node import messages
from comity.node.group import Group
from comity.node.remote import Remote
from comity.replica import Member, NodeId

if TYPE_CHECKING:
    from comity.node.host import Host

UNWRITTEN_BYTES = 64 << 20
"""Beyond it a log that cannot be written takes nothing more of what peers say about registers."""

INTRODUCED_PEERS = 128
REFUSAL_FRESH_NS = 5_000_000_000


class Peers:
    """All other nodes, as far as this host knows them."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.links: dict[int, str] = {}
        """With whom to keep a link, and where."""
        self.links_changed = False
        self.up: set[int] = set()
        """To whom frames can leave."""
        self.heard_ns: dict[int, int] = {}
        """When each peer's last frame came."""
        self._introduced: dict[int, str] = {}
        self._lives: dict[int, tuple[int, str]] = {}
        """With what incarnation and data directory each peer has dialled last."""
        self._counted: set[int] = set()
        """Who is a member, or has been one: what they have said was counted."""
        self._refusals: dict[int, tuple[int, str]] = {}
        """When a peer last refused this node's link, and why."""

    def link_up(self, peer: NodeId) -> None:
        """Frames to this peer can leave again."""
        host = self.host
        self.up.add(peer)
        for group in host.groups.values():
            if group.leader == peer:
                group.link_up(peer)
                host.dirty(group)

    def introduced(self, peer: NodeId, address: str, incarnation: int, directory: str = "") -> str:
        """A peer of this cluster dialled and said where it can be reached, how often it was started, and what
        its data directory is called. Why it is not listened to, "" where it is.

        A node that was away while the membership changed may not know who leads now; it could
        hear the leader and never answer. A node that comes back with another directory has lost what it
        had acknowledged and voted for: to count what it says from now on would undo what was decided.
        """
        host = self.host
        lives, kept = self._lives.get(peer, (0, directory))
        other = incarnation < lives or (directory and kept and directory != kept)
        if other and peer in self._counted:
            return (
                f"node {peer} is back with an empty data directory, or an old copy of it: what it has "
                "acknowledged and voted for is forgotten. Give it its own directory, or remove it "
                f"(comity member remove {peer}) and add a node of another number"
            )
        if peer in self._lives or len(self._lives) < INTRODUCED_PEERS:
            self._lives[peer] = (incarnation, directory)
        known = peer in self._introduced or len(self._introduced) < INTRODUCED_PEERS
        if peer != host.config.node and known and address:
            self._introduced[peer] = address
            self.members_changed()
        return ""

    def refused(self, peer: NodeId, reason: str) -> None:
        """A peer does not listen to this node, and says why. It is dialled again, and will say it again."""
        self._refusals[peer] = (self.host.now_ns, reason)

    def link_down(self, peer: NodeId, refused: bool) -> None:
        """The link to this peer is gone; refused: its port is closed, so its process is gone."""
        host = self.host
        self.up.discard(peer)
        if refused:
            for group in host.groups.values():
                group.core.peer_lost(host.now_ns, peer)
                host.stirred(group)

    def members_changed(self) -> None:
        """Some group's membership may have changed, and with it whom to link with."""
        host = self.host
        links: dict[int, str] = dict(self._introduced)
        for group in host.groups.values():
            for member in group.known():
                if member.node != host.config.node and member.peer:
                    links[member.node] = member.peer
        for member in host.config.members:
            if host.config.joining and member.node != host.config.node:
                links.setdefault(member.node, member.peer)
        if links != self.links:
            self.links = links
            self.links_changed = True
        self._counted.update(host.default.core.members.everyone())
        host.keyspaces.members_changed()

    def member(self, node: NodeId) -> Member | None:
        """What is known of a node's addresses."""
        host = self.host
        for group in host.groups.values():
            for found in group.known():
                if found.node == node:
                    return found
        return next((member for member in host.config.members if member.node == node), None)

    def frame(self, peer: NodeId, envelopes: Sequence[tuple[int, int, bytes | memoryview]]) -> None:
        """One frame of a peer. What cannot be read is counted and dropped."""
        host = self.host
        metrics = host.metrics
        self.heard_ns[peer] = host.now_ns
        metrics.peer_frames_received += 1
        metrics.peer_messages_received += len(envelopes)
        for number, kind, body in envelopes:
            group = host.groups.get(number)
            if kind == messages.KIND_RELAYED and number in host.elsewhere:
                self._relayed(host.elsewhere[number], body)
                continue
            if group is None:
                if kind == messages.KIND_RELAY:
                    self._relay(peer, number, body)
                else:
                    metrics.peer_messages_refused += 1
                continue
            try:
                if kind == messages.KIND_CORE:
                    if group.keyed and host.journal.waiting_bytes > UNWRITTEN_BYTES:
                        # Nobody waits for what cannot be written: a message lost is asked for again.
                        metrics.peer_messages_refused += 1
                        continue
                    message = group.protocol.codec.decode(body)
                elif kind == messages.KIND_FORWARD:
                    if isinstance(group, Group):
                        group.on_forward(peer, body)
                        host.dirty(group)
                    continue
                elif kind == messages.KIND_RELAY:
                    self._relay(peer, number, body)
                    continue
                elif kind == messages.KIND_REPORT:
                    host.keyspaces.governor.heard(peer, messages.decode_report(body))
                    continue
                elif kind == messages.KIND_DECLINE and isinstance(group, Group):
                    group.on_decline(peer, body)
                    host.dirty(group)
                    continue
                else:
                    metrics.peer_messages_refused += 1
                    continue
            except msgspec.DecodeError as error:
                metrics.peer_messages_refused += 1
                host.note("peer message refused", peer=peer, group=group.name, error=str(error))
                continue
            group.core.receive(host.now_ns, peer, message)
            host.stirred(group)

    def _relay(self, peer: NodeId, number: int, body: bytes | memoryview) -> None:
        host = self.host
        try:
            relay = messages.decode_relay(body)
        except msgspec.DecodeError as error:
            host.metrics.peer_messages_refused += 1
            host.note("peer message refused", peer=peer, number=number, error=str(error))
            return
        host.dispatcher.relay(peer, number, relay)

    def _relayed(self, remote: Remote, body: bytes | memoryview) -> None:
        host = self.host
        try:
            remote.relayed(messages.decode_relayed(body))
        except msgspec.DecodeError as error:
            host.metrics.peer_messages_refused += 1
            host.note("peer message refused", group=remote.name, error=str(error))

    # -- what the turn and people ask

    def take_links(self) -> dict[int, str] | None:
        """The links to keep from now on, where they are others than before."""
        if not self.links_changed:
            return None
        self.links_changed = False
        return dict(self.links)

    def refusal(self) -> str:
        """Which peer does not listen to this node now, and why; "" for none."""
        for peer, (at_ns, reason) in sorted(self._refusals.items()):
            if self.host.now_ns - at_ns < REFUSAL_FRESH_NS:
                return f"node {peer} refuses this node: {reason}"
        return ""
