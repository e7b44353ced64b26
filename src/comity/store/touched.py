"""Which keys an entry of the log may change, for protocols that let the others be read meanwhile."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from comity.store.batches import decode_batch, decode_proposal
from comity.store.table import find, keys_of


def keys_of_payload(payload: bytes) -> Collection[bytes] | None:
    """The keys that the commands of a proposal may change; None where they may change any."""
    try:
        batches = [decode_batch(data) for data in decode_proposal(payload).batches]
    except msgspec.MsgspecError:
        return ()  # It does nothing.
    keys: dict[bytes, None] = {}
    for batch in batches:
        keys.update(dict.fromkeys(batch.keys))
        for args in batch.commands:
            entry = find(args[0]) if args else None
            if entry is None:
                continue
            if not entry.first_key:
                return None
            keys.update(dict.fromkeys(keys_of(entry, args)))
    return keys
