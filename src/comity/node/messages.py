"""What hosts say to one another, beside the messages of the protocols they carry."""

from __future__ import annotations

from typing import Annotated

import msgspec

KIND_CORE = 0
"""A message of the group's own protocol, opaque here."""
KIND_FORWARD = 1
"""Batches of clients' commands for the leader to propose: a `Forward`."""
KIND_DECLINE = 2
"""They were not taken: a `Decline`."""


KIND_RELAY = 4
"""Commands of a client for a keyspace that the receiver holds: a `Relay`."""
KIND_RELAYED = 5
"""Their answers: a `Relayed`."""
KIND_REPORT = 3
"""What a node says to the leader of the control group: a `Report`."""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Of one group on the reporting node. epoch: of the view it has adopted. settled, caught_up, position: as
    its core says."""

    epoch: int
    settled: int
    caught_up: tuple[int, ...]
    position: tuple[int, int]


class Report(msgspec.Struct, frozen=True, array_like=True):
    """Also a sign of life. version: of the catalogue, confirmed: nothing is served here any more under an
    older one. incarnation, sequence: of the sender's reports. fsync_ns: a high percentile of its last log
    writes, 0 for none; heard: of every peer it heard, how long ago."""

    version: int
    groups: dict[int, Position]
    incarnation: int
    sequence: int
    fsync_ns: int
    heard: dict[int, int]


class Relay(msgspec.Struct, frozen=True, array_like=True):
    """Commands on keys of one keyspace. incarnation, request: the sender's, the latter higher with every
    relay. protocol: the RESP version of the replies.
    level: what is asked for. token: what the session has seen. quorums: of reads and writes, 0 for the
    keyspace's own."""

    incarnation: int
    request: int
    protocol: Annotated[int, msgspec.Meta(ge=2, le=3)]
    level: str
    token: bytes
    commands: list[Annotated[list[bytes], msgspec.Meta(min_length=1)]]
    quorums: tuple[int, int] = (0, 0)


class Relayed(msgspec.Struct, frozen=True, array_like=True):
    """Their answers, one a command. incarnation, request: of the relay. token: what the session has
    seen now."""

    incarnation: int
    request: int
    replies: list[bytes]
    token: bytes


class Forward(msgspec.Struct, frozen=True, array_like=True):
    """Batches, each encoded once by the node whose clients sent the commands."""

    batches: list[bytes]


class Decline(msgspec.Struct, frozen=True, array_like=True):
    """The receiver does not lead; who does, as far as it knows (0: nobody)."""

    leader: int


_encoder = msgspec.msgpack.Encoder()
_forward = msgspec.msgpack.Decoder(Forward)
_relay = msgspec.msgpack.Decoder(Relay)
_relayed = msgspec.msgpack.Decoder(Relayed)
_report = msgspec.msgpack.Decoder(Report)
_decline = msgspec.msgpack.Decoder(Decline)


def encode(message: Forward | Decline | Report | Relay | Relayed) -> bytes:
    """The body of an envelope."""
    return _encoder.encode(message)


def decode_forward(body: bytes | memoryview) -> Forward:
    """Raises `msgspec.DecodeError` (or its `ValidationError`) on anything else."""
    return _forward.decode(body)


def decode_relay(body: bytes | memoryview) -> Relay:
    """Raises `msgspec.DecodeError` (or its `ValidationError`) on anything else."""
    try:
        return _relay.decode(body)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"a level is not text: {error}") from None


def decode_relayed(body: bytes | memoryview) -> Relayed:
    """Raises `msgspec.DecodeError` (or its `ValidationError`) on anything else."""
    return _relayed.decode(body)


def decode_report(body: bytes | memoryview) -> Report:
    """Raises `msgspec.DecodeError` (or its `ValidationError`) on anything else."""
    return _report.decode(body)


def decode_decline(body: bytes | memoryview) -> Decline:
    """Raises `msgspec.DecodeError` (or its `ValidationError`) on anything else."""
    return _decline.decode(body)
