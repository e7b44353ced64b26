"""What gossiping replicas say to each other, and its bytes: one kind of message, at most one a peer a
turn."""

from __future__ import annotations

from typing import Annotated

import msgspec

from comity.replica import Codec

Natural = Annotated[int, msgspec.Meta(ge=0, le=1 << 60)]
"""A node, a counter or an epoch."""
Stamp = Annotated[int, msgspec.Meta(ge=0)]
"""A hybrid time or a hash: 64 bits, as much as a number may have here."""
Vector = Annotated[list[tuple[Natural, Natural]], msgspec.Meta(max_length=4096)]
"""(node, counter) by rising node: what has been delivered of each."""


class Batch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The writes of one turn of `origin`: a delta-interval (Almeida 2018), delivered whole or not at all.

    It holds the dots after `previous` up to `last`, and is applied where exactly those before it have been.
    after: what else the origin had delivered, as far as it grew since the batch before: the nearest
    dependencies of COPS (Lloyd 2011, section 4), the others follow from `previous`.
    stamp: the highest hybrid time in it. deltas: (key, joined delta), one a key.
    """

    origin: Natural
    previous: Natural
    last: Natural
    stamp: Stamp
    after: Vector
    deltas: list[tuple[bytes, bytes]]

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory and in a message."""
        size = 64 + 16 * (len(self.after) + len(self.deltas))
        for key, delta in self.deltas:
            size += len(key) + len(delta)
        return size


class Cells(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A part of the sender's state: every key whose hash is in [start, end), end 0 for "to the last".

    vector: what the sender had delivered when it read them: the cells hold all of that. horizon: they hold
    nothing beyond that.
    """

    start: Stamp
    end: Stamp
    vector: Vector
    horizon: Vector
    cells: list[tuple[bytes, bytes]]


class Gossip(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Everything that one replica has to say to another at the end of a turn.

    epoch: of the view the sender has adopted. joined: since which epoch it belongs without a break. ready:
    whether its state is causally consistent, so that it serves. vector: what it has delivered. admitted:
    (node, epoch) of those that came (again) and since when, as far as it knows. batches: in an order in
    which they can be delivered. more: there are others that the receiver lacks. pull: the sender asks for
    what its vector lacks. behind: what the receiver lacks is no longer kept as deltas. wanted: the sender
    asks for cells from this hash on, -1 for no. part: the answer to that.
    """

    epoch: Natural
    joined: Natural
    ready: bool
    vector: Vector
    admitted: Vector = []
    batches: list[Batch] = []
    more: bool = False
    pull: bool = False
    behind: bool = False
    wanted: Annotated[int, msgspec.Meta(ge=-1)] = -1
    part: Cells | None = None


CODEC = Codec(encode=msgspec.msgpack.Encoder().encode, decode=msgspec.msgpack.Decoder(Gossip).decode)
"""bytes <-> messages; decode raises `msgspec.DecodeError` (or its `ValidationError`)."""
