"""What Paxos replicas say to each other, and its bytes.

All that one replica asks of another in a turn is one `Asks`, all that it answers is one `Answers`; the
items inside name the key and the counter of the ballot, whose other half is the sender (of an `Asks`) or
the receiver (of an `Answers`). None of them names its receiver, so one object goes to many.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from comity.protocols.paxos.ballots import MAX_COUNTER
from comity.replica import Codec

Natural = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
"""An epoch, a node, or a time."""

Counter = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNTER)]
"""The counter of a ballot, or a number drawn from the same source."""

WireBallot = tuple[Counter, Natural]
MAX_KEYS = 1 << 17
"""Told of as chosen in one message."""


class Prepare(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """Phase 1a."""

    key: bytes
    counter: Counter


class Accept(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """Phase 2a, and with `following` not 0 phase 1a of the sender's ballot with that counter."""

    key: bytes
    counter: Counter
    following: Counter
    value: bytes


class Peek(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """What have you accepted? Nothing changes by asking. number: to be answered with, never used twice."""

    key: bytes
    number: Counter


class Learn(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """The sender's proposals of these ballots are chosen, one a key."""

    keys: Annotated[list[bytes], msgspec.Meta(max_length=MAX_KEYS)]
    counters: Annotated[list[Counter], msgspec.Meta(max_length=MAX_KEYS)]


class Release(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """To a proposer: forget what you cached of this key, go above the ballot, and say whether a change of
    yours to the key is undecided (CASPaxos, section 3.1, step 2b)."""

    key: bytes
    ballot: WireBallot


class Erase(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=6):
    """To an acceptor: remove the register if it still holds exactly this tombstone (step 2d)."""

    key: bytes
    ballot: WireBallot


class Survey(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=7):
    """Say that you are in this view; the answer carries your floor."""

    number: Counter


class Promised(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=8):
    """Phase 1b: promised, with what was accepted last."""

    key: bytes
    counter: Counter
    accepted: WireBallot
    value: bytes | None


class Accepted(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=9):
    """Phase 2b. promised: the following ballot is promised too, and nothing above it."""

    key: bytes
    counter: Counter
    promised: bool


class Conflict(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=10):
    """Refused, because of `promise`. clean: the proposal was certainly never accepted here (and, with the
    promise above it, never will be)."""

    key: bytes
    counter: Counter
    promise: WireBallot
    clean: bool


class Peeked(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=11):
    """What was accepted last."""

    number: Counter
    accepted: WireBallot
    value: bytes | None


class Released(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=12):
    """free: no change of this proposer to the key is undecided."""

    key: bytes
    ballot: WireBallot
    free: bool


class Erased(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=13):
    """gone: nothing of the key is stored here."""

    key: bytes
    ballot: WireBallot
    gone: bool


class Surveyed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=14):
    """I am in this view."""

    number: Counter


Ask = Prepare | Accept | Peek | Learn | Release | Erase | Survey
Answer = Promised | Accepted | Conflict | Peeked | Released | Erased | Surveyed


class Asks(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """From a proposer of the view `epoch`. floor: ballots of removed registers ended here. sent_ns: when this
    left, by the sender's clock; 0 where it is not to be told again."""

    epoch: Natural
    floor: Counter
    items: list[Ask]
    sent_ns: Natural = 0


class Answers(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """From an acceptor of the view `epoch`. sent_ns: of the earliest questions that are answered here."""

    epoch: Natural
    floor: Counter
    items: list[Answer]
    sent_ns: Natural = 0


class Stale(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """Your message was of an older view than mine, of `epoch`."""

    epoch: Natural


Message = Asks | Answers | Stale

CODEC = Codec(encode=msgspec.msgpack.Encoder().encode, decode=msgspec.msgpack.Decoder(Message).decode)
"""bytes <-> messages; decode raises `msgspec.DecodeError` (or its `ValidationError`)."""


def size_of(item: Ask | Answer) -> int:
    """Bytes on the wire, nearly."""
    if type(item) is Learn:
        return 32 + sum(map(len, item.keys)) + 16 * len(item.keys)
    size = 32
    value = getattr(item, "value", None)
    if value is not None:
        size += len(value)
    key = getattr(item, "key", None)
    if key is not None:
        size += len(key)
    return size
