"""CRDT values behind the Redis commands: `Lattices` is what the gossip protocol is given as its semantics."""

from comity.store.lattices.payloads import Payload, payload_of
from comity.store.lattices.semantics import Lattices
from comity.store.lattices.supported import SUPPORTED, refusal

__all__ = ["SUPPORTED", "Lattices", "Payload", "payload_of", "refusal"]
