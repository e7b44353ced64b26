"""Anti-entropy (Dynamo 4.7): with one peer at a time, from the root of the hash tree down to what differs.

A round is a conversation with one message of each side under way: hashes of some nodes of the tree, which of
them differ, and so on down; then for each leaf that differs the keys and digests in a range of it, the
copies that either side lacks, and the acknowledgement that they are durable. Everything is bounded: hashes,
keys and bytes in a message, attempts, rounds begun (one at a time). A lost message is sent again.

A round that was completed means: what either side held when it began, both hold, durably. Collecting
tombstones and leaving a view rely on that, so all of it travels behind the disk.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import Any

import msgspec

from comity.protocols.quorum.messages import Agreed, Compare, Differ, Listing, Missing, Push, Pushed
from comity.protocols.quorum.operations import Operations
from comity.protocols.quorum.state import CLIENT, LAST_POSITION
from comity.protocols.quorum.versions import Copy, decode_copy
from comity.replica import NEVER, NodeId

STRIDE = 4
"""Levels of the tree that one exchange goes down."""
ROOT = 1


class Round(msgspec.Struct):
    """One that this node has begun. nodes: of the tree that differ, yet to be gone into. ranges: (first,
    last) hashes yet to be listed. step: of the message under way. asked: the nodes of the tree in it. proof:
    what the peer calls this round. wanted: keys yet to be pushed."""

    number: int
    peer: NodeId
    began_ns: int
    nodes: list[int]
    ranges: list[tuple[int, int]]
    step: int = 0
    asked: tuple[int, ...] = ()
    message: Any = None
    attempts: int = 0
    wanted: list[bytes] = []
    proof: int = 0


class AntiEntropy(Operations):
    """Rounds begun here, and the answers to those of others."""

    def prepare_rounds(self) -> None:
        """No round yet."""
        self.random = self.context.stream("quorum rounds")
        self.round: Round | None = None
        self.round_due_ns = NEVER
        self.round_retry_ns = NEVER
        self.turn_of = 0
        self.agreed: dict[NodeId, int] = {}
        """When the last completed round with a peer began, in this life and under this view."""
        self.rounds_heard: dict[NodeId, tuple[int, int, int]] = {}
        """The round a peer is holding with this node: (its number, when it was first heard of, what it is
        called here). The name makes an `Agreed` of an earlier round, or life, recognisable."""

    @abc.abstractmethod
    def round_completed(self, now_ns: int, peer: NodeId) -> None:
        """Both hold what either held."""

    def partners(self) -> tuple[NodeId, ...]:
        """With whom this node may hold keys together."""
        return tuple(node for node in self.placement.nodes if node != self.node)

    @property
    def trees_built(self) -> bool:
        """Whether all that is held is in the trees."""
        return self.built > LAST_POSITION

    # -- as the one who begins

    def round_pause_ns(self) -> int:
        """Between two rounds; a little random, so that nodes do not march in step."""
        pause = self.options.anti_entropy_ns
        return pause + self.random.below(pause // 4 + 1)

    def begin_round(self, now_ns: int) -> None:
        """With the next peer in turn that seems to be there."""
        self.round_due_ns = now_ns + self.round_pause_ns()
        partners = self.partners()
        if not self.trees_built or not partners or self.node not in self.placement.nodes:
            return
        for _ in partners:
            peer = partners[self.turn_of % len(partners)]
            self.turn_of += 1
            if peer not in self.suspected:
                break
        self.round = Round(self.next_number(), peer, now_ns, [ROOT], [])
        self.count("rounds_begun")
        self.compare(now_ns, (ROOT,))

    def tell(self, now_ns: int, message: Any) -> None:
        """The next message of the round."""
        assert self.round is not None
        self.round.message = message
        self.round.attempts = 0
        self.round_retry_ns = now_ns + self.options.retry_ns
        self.send_durable(self.round.peer, message)

    def compare(self, now_ns: int, nodes: tuple[int, ...]) -> None:
        """Ask which of these nodes of the tree differ."""
        current = self.round
        assert current is not None
        current.step += 1
        current.asked = nodes
        current.nodes = [node for node in current.nodes if node not in nodes]
        hashes = self.forest.hashes(current.peer, nodes)
        self.tell(now_ns, Compare(self.epoch, current.number, current.step, list(nodes), hashes))

    def retry_round(self, now_ns: int) -> None:
        """Not answered: once more, or give up; the next round begins anew."""
        current = self.round
        assert current is not None
        current.attempts += 1
        if current.attempts >= self.options.round_attempts:
            self.suspect(now_ns, current.peer)
            self.count("rounds_given_up")
            self.end_round()
            return
        self.round_retry_ns = now_ns + self.options.retry_ns
        self.send_durable(current.peer, current.message)

    def end_round(self) -> None:
        """Nothing is under way."""
        self.round = None
        self.round_retry_ns = NEVER

    def answers(self, sender: NodeId, message: Differ | Missing | Pushed, kind: type) -> bool:
        """Whether this is what the round waits for."""
        current = self.round
        return (
            current is not None
            and current.peer == sender
            and current.number == message.round
            and current.step == message.step
            and type(current.message) is kind
        )

    def on_differ(self, now_ns: int, sender: NodeId, differ: Differ) -> None:
        """Go into the nodes that differ."""
        if not self.answers(sender, differ, Compare):
            return
        current = self.round
        assert current is not None
        current.proof = current.proof or differ.proof
        for node in differ.nodes:
            if node not in current.asked:
                self.drop(sender, differ, "a node that was not asked about")
                return
        for node in differ.nodes:
            if self.forest.leaf(node):
                current.ranges.append(self.forest.bounds(node))
            else:
                current.nodes.append(node)
        self.go_on(now_ns)

    def go_on(self, now_ns: int) -> None:
        """The next thing to do in the round; ranges first, so that what waits stays short."""
        current = self.round
        assert current is not None
        if current.ranges:
            self.list_range(now_ns)
            return
        nodes: list[int] = []
        while current.nodes and len(nodes) + (1 << STRIDE) <= self.options.compare_nodes:
            nodes.extend(self.forest.below(current.nodes.pop(), STRIDE))
        if nodes:
            self.compare(now_ns, tuple(nodes))
            return
        peer, began_ns = current.peer, current.began_ns
        self.send_durable(peer, Agreed(self.epoch, current.number, current.proof))
        self.end_round()
        self.complete(now_ns, peer, began_ns)

    def list_range(self, now_ns: int) -> None:
        """Tell the keys and digests of the first part of a range that differs."""
        current = self.round
        assert current is not None
        first, last = current.ranges[-1]
        keys: list[bytes] = []
        digests: list[int] = []
        end, before = last, -1
        for position, key, cell in self.shared_cells(current.peer, first, last):
            if len(keys) >= self.options.sync_keys and position > before:
                end = position - 1
                break
            keys.append(key)
            digests.append(decode_copy(cell).digest(key))
            before = position
        current.step += 1
        self.tell(now_ns, Listing(self.epoch, current.number, current.step, first, end, keys, digests))

    def on_missing(self, now_ns: int, sender: NodeId, missing: Missing) -> None:
        """Take what this node lacks, push what the peer wants."""
        if not self.answers(sender, missing, Listing):
            return
        current = self.round
        assert current is not None
        first, last = current.ranges[-1]
        listed = current.message
        if not first <= missing.last <= listed.last or len(missing.keys) != len(missing.cells):
            self.drop(sender, missing, "not the range that was listed")
            return
        self.take_all(now_ns, sender, missing, missing.keys, missing.cells)
        if missing.last >= last:
            current.ranges.pop()
        else:
            current.ranges[-1] = (missing.last + 1, last)
        listing = dict.fromkeys(listed.keys)
        current.wanted = [key for key in missing.wanted if key in listing]
        self.push(now_ns)

    def push(self, now_ns: int) -> None:
        """The next of the copies that the peer wants."""
        current = self.round
        assert current is not None
        if not current.wanted:
            self.go_on(now_ns)
            return
        keys: list[bytes] = []
        cells: list[bytes] = []
        size = 0
        while current.wanted and (not keys or size < self.options.sync_bytes):
            key = current.wanted.pop(0)
            cell = self.cells.get(CLIENT + key)
            if cell is not None:
                keys.append(key)
                cells.append(cell)
                size += len(key) + len(cell)
        current.step += 1
        self.count("keys_pushed", len(keys))
        self.tell(now_ns, Push(self.epoch, current.number, current.step, keys, cells))

    def on_pushed(self, now_ns: int, sender: NodeId, pushed: Pushed) -> None:
        """They are durable there."""
        if self.answers(sender, pushed, Push):
            self.push(now_ns)

    # -- as the one who is asked

    def on_compare(self, now_ns: int, sender: NodeId, compare: Compare) -> None:
        """Which hashes are others here? Not told before all that is held is in the trees."""
        nodes = compare.nodes
        bottom = 2 << self.options.merkle_depth
        if len(nodes) != len(compare.hashes) or len(nodes) > self.options.compare_nodes:
            self.drop(sender, compare, "hashes without nodes")
        elif any(not 0 < node < bottom for node in nodes):
            self.drop(sender, compare, "a node outside of the tree")
        elif self.trees_built:
            heard = self.rounds_heard.get(sender)
            if heard is None or heard[0] != compare.round:
                heard = self.rounds_heard[sender] = (compare.round, now_ns, self.next_number())
            mine = self.forest.hashes(sender, nodes)
            differing = [
                node for node, ours, theirs in zip(nodes, mine, compare.hashes, strict=True) if ours != theirs
            ]
            self.send_durable(sender, Differ(self.epoch, compare.round, compare.step, differing, heard[2]))

    def on_listing(self, now_ns: int, sender: NodeId, listing: Listing) -> None:
        """What of that range one of us lacks."""
        if len(listing.keys) != len(listing.digests) or listing.last < listing.low:
            self.drop(sender, listing, "digests without keys")
            return
        theirs = dict(zip(listing.keys, listing.digests, strict=True))
        wanted = dict.fromkeys(key for key in listing.keys if self.node in self.placement.holders(key))
        keys: list[bytes] = []
        cells: list[bytes] = []
        size, before, end = 0, -1, listing.last
        for position, key, cell in self.shared_cells(sender, listing.low, listing.last):
            if position > before and (len(keys) >= self.options.sync_keys or size >= self.options.sync_bytes):
                end = position - 1
                break
            before = position
            if theirs.get(key) == decode_copy(cell).digest(key):
                del wanted[key]
                continue
            keys.append(key)
            cells.append(cell)
            size += len(key) + len(cell)
        self.count("keys_pushed", len(keys))
        wants = [key for key in wanted if listing.low <= self.position_of(CLIENT + key) <= end]
        self.send_durable(sender, Missing(self.epoch, listing.round, listing.step, end, keys, cells, wants))

    def on_push(self, now_ns: int, sender: NodeId, push: Push) -> None:
        """Copies this node wanted."""
        if len(push.keys) != len(push.cells):
            self.drop(sender, push, "keys without copies")
            return
        self.take_all(now_ns, sender, push, push.keys, push.cells)
        self.acknowledge(sender, Pushed(self.epoch, push.round, push.step))

    def on_agreed(self, now_ns: int, sender: NodeId, agreed: Agreed) -> None:
        """The round that a peer began is complete."""
        number, began_ns, proof = self.rounds_heard.get(sender, (0, 0, 0))
        if number == agreed.round and self.proves(proof, agreed):
            del self.rounds_heard[sender]
            self.complete(now_ns, sender, began_ns)

    def proves(self, proof: int, agreed: Agreed) -> bool:
        """Whether the round named was compared with what this life of the replica holds."""
        return proof == agreed.proof

    def complete(self, now_ns: int, peer: NodeId, began_ns: int) -> None:
        """Remember since when this node and a peer are known to have had the same."""
        self.count("rounds")
        self.agreed[peer] = max(began_ns, self.agreed.get(peer, began_ns))
        self.round_completed(now_ns, peer)

    # -- both

    def shared_cells(self, peer: NodeId, first: int, last: int) -> Iterator[tuple[int, bytes, bytes]]:
        """(hash, key, cell) of the keys in a range that this node and a peer hold together."""
        for position, cell_key, cell in self.cells.walk(first):
            if position > last:
                return
            if cell_key[:1] == CLIENT:
                key = cell_key[1:]
                holders = self.placement.holders(key)
                if peer in holders and self.node in holders:
                    yield position, key, cell

    def take_all(
        self, now_ns: int, sender: NodeId, message: Any, keys: list[bytes], cells: list[bytes]
    ) -> None:
        """Merge copies that a round brought."""
        for key, cell in zip(keys, cells, strict=True):
            copy = self.readable(sender, message, cell)
            if copy is None:
                continue
            if self.node not in self.placement.holders(key):
                self.drop(sender, message, "not a key of this replica")
            elif self.worth_keeping(key, copy) and self.take_in(now_ns, key, copy):
                self.count("keys_moved")

    def readable(self, sender: NodeId, message: Any, cell: bytes) -> Copy | None:
        """A copy that may be stored here, None for any other."""
        try:
            copy = decode_copy(cell)
        except msgspec.DecodeError:
            self.drop(sender, message, "an unreadable copy")
            return None
        if not self.resolver.legal(copy):
            self.drop(sender, message, "a copy of another kind")
            return None
        self.observe(copy)
        return copy
