"""CRDT values behind the Redis commands: `Lattices` is what the gossip protocol is given as its semantics."""

from comity.store.lattices.payloads import decode_payload, encode_payload
from comity.store.lattices.semantics import Lattices
from comity.store.lattices.supported import SUPPORTED, refusal

__all__ = ["SUPPORTED", "Lattices", "decode_payload", "encode_payload", "refusal"]
