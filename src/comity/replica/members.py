"""Membership: who replicates a group, and the operations that change it."""

from __future__ import annotations

import msgspec

from comity.replica.effects import NodeId


class Member(msgspec.Struct, frozen=True, array_like=True, order=True):
    """node: its number; peer: host:port of its peer port; redis: host:port of its Redis port."""

    node: NodeId
    peer: str = ""
    redis: str = ""


class Members(msgspec.Struct, frozen=True, array_like=True):
    """A configuration (Ongaro's thesis, chapter 4).

    voters: who votes and counts, sorted. outgoing: the old voters during a joint configuration,
    sorted, empty otherwise; a decision then needs a majority of each. learners: who only follows,
    sorted, never also a voter of either set. known: every member with its addresses, sorted.
    """

    voters: tuple[NodeId, ...]
    outgoing: tuple[NodeId, ...] = ()
    learners: tuple[NodeId, ...] = ()
    known: tuple[Member, ...] = ()

    @property
    def joint(self) -> bool:
        """Whether two majorities are needed now."""
        return bool(self.outgoing)

    def everyone(self) -> tuple[NodeId, ...]:
        """All nodes that are sent the log, sorted."""
        return tuple(sorted({*self.voters, *self.outgoing, *self.learners}))

    def votes(self, node: NodeId) -> bool:
        """Whether the node is a voter of either set."""
        return node in self.voters or node in self.outgoing

    def quorum(self, nodes: set[NodeId] | frozenset[NodeId]) -> bool:
        """Whether these nodes are a majority of each set that counts."""
        return _majority(self.voters, nodes) and (not self.outgoing or _majority(self.outgoing, nodes))

    def member(self, node: NodeId) -> Member | None:
        """The addresses of a node, None where it is not known."""
        for known in self.known:
            if known.node == node:
                return known
        return None


def _majority(voters: tuple[NodeId, ...], nodes: set[NodeId] | frozenset[NodeId]) -> bool:
    return sum(1 for voter in voters if voter in nodes) * 2 > len(voters)


class AddMember(msgspec.Struct, frozen=True, array_like=True, tag="add"):
    """Add a node as a learner; it catches up without counting. PROMOTE makes it a voter."""

    member: Member


class PromoteMember(msgspec.Struct, frozen=True, array_like=True, tag="promote"):
    """Make a caught-up learner a voter, through a joint configuration."""

    node: NodeId


class RemoveMember(msgspec.Struct, frozen=True, array_like=True, tag="remove"):
    """Remove a voter (through a joint configuration) or a learner."""

    node: NodeId


class ReplaceMembers(msgspec.Struct, frozen=True, array_like=True, tag="replace"):
    """Go to exactly these voters in one joint change; every one must be a member already."""

    voters: tuple[NodeId, ...]


class TransferLeadership(msgspec.Struct, frozen=True, array_like=True, tag="transfer"):
    """Hand leadership to a voter, 0 for the most caught-up one."""

    node: NodeId = 0


Operation = AddMember | PromoteMember | RemoveMember | ReplaceMembers | TransferLeadership

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Members)


def encode_members(members: Members) -> bytes:
    """The bytes a MEMBERS entry and a snapshot carry."""
    return _encoder.encode(members)


def decode_members(data: bytes) -> Members:
    """The inverse; raises `msgspec.ValidationError` or `msgspec.DecodeError` on other bytes."""
    try:
        return _decoder.decode(data)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"an address is not text: {error}") from None
