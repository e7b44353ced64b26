"""What a keyed operation carries: commands of one client on one key, and the protocol version it speaks."""

from __future__ import annotations

import msgspec

from comity.store.errors import CommandError

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[int, list[list[bytes]]])


def encode_payload(protocol: int, commands: list[list[bytes]]) -> bytes:
    """protocol: 2 or 3, the RESP version of the reply. commands: arguments with the name, all on one key."""
    return _encoder.encode((protocol, commands))


def decode_payload(payload: bytes) -> tuple[int, list[list[bytes]]]:
    """The inverse. Raises `CommandError` for other bytes."""
    try:
        protocol, commands = _decoder.decode(payload)
    except msgspec.DecodeError:
        raise CommandError(b"ERR the commands of this request cannot be read") from None
    return (3 if protocol == 3 else 2), commands
