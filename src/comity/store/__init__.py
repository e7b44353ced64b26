"""The replicated state machine: commands, data, time to live, exactly once, engines, snapshots."""

from comity.store.batches import Answer, encode_batch, encode_proposal
from comity.store.errors import CommandError, EngineError, SnapshotError, StateError, StoreError
from comity.store.limits import ReplicatedLimits, StoreLimits
from comity.store.machine import StateMachine

__all__ = [
    "Answer",
    "CommandError",
    "EngineError",
    "ReplicatedLimits",
    "SnapshotError",
    "StateError",
    "StateMachine",
    "StoreError",
    "StoreLimits",
    "encode_batch",
    "encode_proposal",
]
