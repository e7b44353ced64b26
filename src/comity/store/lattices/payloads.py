"""What a keyed operation carries: commands of one client on one key, and the protocol version it speaks.

It never leaves the node that was asked: what travels is what the commands led to. So it is no bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

Payload = tuple[int, Sequence[list[bytes]]]
"""(RESP version of the replies, commands: arguments with the name, all on one key)."""


def payload_of(protocol: int, commands: Sequence[list[bytes]]) -> Payload:
    """protocol: 2 or 3, the RESP version of the reply. commands: arguments with the name, all on one key."""
    return protocol, commands
