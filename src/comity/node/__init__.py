"""The host: one node without I/O, between a shell and the replication protocols."""

from comity.node.config import Bounds, ConfigError, HostConfig, KeyspaceConfig
from comity.node.host import Host
from comity.node.journal import Journal
from comity.node.turn import Envelope, Job, JournalWrite, Turn

__all__ = [
    "Bounds",
    "ConfigError",
    "Envelope",
    "Host",
    "HostConfig",
    "Job",
    "Journal",
    "JournalWrite",
    "KeyspaceConfig",
    "Turn",
]
