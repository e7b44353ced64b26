"""What detectors say to each other, and its bytes. The sender is named by the envelope."""

from __future__ import annotations

from typing import Annotated

import msgspec

from comity.replica import Codec

MAX_INCARNATION = 1 << 62
"""No refutation can go beyond it, so what claims it is dropped."""

Natural = Annotated[int, msgspec.Meta(ge=0, le=MAX_INCARNATION)]
Node = Annotated[int, msgspec.Meta(ge=1, le=MAX_INCARNATION)]
MAX_UPDATES = 1024


class Update(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A piece of news about a member (SWIM 4.2): status is a `Status`; source: who found it out, which
    tells independent suspicions from repeated ones (Lifeguard, LHA-Suspicion)."""

    node: Node
    status: Annotated[int, msgspec.Meta(ge=0, le=2)]
    incarnation: Natural
    source: Node


Updates = Annotated[tuple[Update, ...], msgspec.Meta(max_length=MAX_UPDATES)]


class Heartbeat(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """The sender lives. incarnation: which life of it; sequence: grows by one with every heartbeat."""

    incarnation: Natural
    sequence: Natural


class Ping(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """Answer with an Ack of the same number."""

    number: Natural
    updates: Updates = ()


class Ack(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """The pinged member lives: from itself, or passed on by the one asked to ping it."""

    number: Natural
    updates: Updates = ()


class PingRequest(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """Ping `target` for me and pass its Ack on. nack: say so, too, when it does not answer in time."""

    number: Natural
    target: Node
    nack: bool
    updates: Updates = ()


class Nack(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """The target has not answered me; but I am here, and so are you (Lifeguard, LHA-Probe)."""

    number: Natural
    updates: Updates = ()


Message = Heartbeat | Ping | Ack | PingRequest | Nack

CODEC = Codec(encode=msgspec.msgpack.Encoder().encode, decode=msgspec.msgpack.Decoder(Message).decode)
"""bytes <-> messages; decode raises `msgspec.DecodeError` (or its `ValidationError`)."""
