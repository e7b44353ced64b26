"""What quorum replicas say to each other, and its bytes.

Everything of one turn for one peer travels in one `Turn` (two where some of it waits for the disk and some
does not). Copies travel as the bytes they are stored as. Every message carries the epoch of its sender.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from comity.replica import Codec

Natural = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
Word = Annotated[int, msgspec.Meta(ge=0)]
"""64 bits of a hash: msgpack has no larger integers."""
MAX_ITEMS = 1 << 17


class Ask(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What do you hold of the key? number: of the phase, to be answered with. values: or only its tags."""

    number: Natural
    key: bytes
    values: bool


class Store(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Merge this copy into yours. number: to be acknowledged with once durable, 0 for no answer.

    hint: 0, or the node of the key's list that the receiver, which is not in it, holds this for.
    """

    number: Natural
    key: bytes
    cell: bytes
    hint: Natural = 0


class Answer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The copy asked for, None for nothing."""

    number: Natural
    cell: bytes | None


class Turn(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Everything of a turn for one peer."""

    epoch: Natural
    asks: list[Ask] = []
    stores: list[Store] = []
    answers: list[Answer] = []
    stored: list[Natural] = []


class Stale(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """Your message was of an older view than `epoch`; it was not looked at."""

    epoch: Natural


class Ping(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """Are you there?"""

    epoch: Natural


class Pong(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """I am."""

    epoch: Natural


class Compare(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Anti-entropy: hashes of nodes, numbered as in a heap, of the tree over the keys that we both hold."""

    epoch: Natural
    round: Natural
    step: Natural
    nodes: list[Natural]
    hashes: list[Word]


class Differ(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Of these my hashes are others. proof: what I call this round."""

    epoch: Natural
    round: Natural
    step: Natural
    nodes: list[Natural]
    proof: Natural


class Listing(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """All that I hold with a hash in [low, last] of the keys that we both hold, and its digests."""

    epoch: Natural
    round: Natural
    step: Natural
    low: Word
    last: Word
    keys: list[bytes]
    digests: list[Word]


class Missing(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """In [low, last], which may end sooner than asked: copies that you lack or hold otherwise, and keys
    whose copies I want of you."""

    epoch: Natural
    round: Natural
    step: Natural
    last: Word
    keys: list[bytes]
    cells: list[bytes]
    wanted: list[bytes]


class Push(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """The copies that were wanted."""

    epoch: Natural
    round: Natural
    step: Natural
    keys: list[bytes]
    cells: list[bytes]


class Pushed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=10):
    """They are durable here."""

    epoch: Natural
    round: Natural
    step: Natural


class Agreed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=11):
    """The round is complete: what either of us held when it began, both hold.

    proof: what you called it, so that a late copy of this message cannot vouch for another round.
    """

    epoch: Natural
    round: Natural
    proof: Natural


Message = Turn | Stale | Ping | Pong | Compare | Differ | Listing | Missing | Push | Pushed | Agreed

CODEC = Codec(encode=msgspec.msgpack.Encoder().encode, decode=msgspec.msgpack.Decoder(Message).decode)
"""bytes <-> messages; decode raises `msgspec.DecodeError` (or its `ValidationError`)."""
