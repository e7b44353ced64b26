"""What protocols that replicate a log have in common, whoever writes it and whoever decides.

`Log` is the log in memory, `Replay` brings it back from the journal, `Progress` is how far another replica
has followed it, and `Transfer` a snapshot on its way there.
"""

from comity.replica.logged.log import ENTRY_OVERHEAD_BYTES, EntryT, Log, LogEntry, size_of
from comity.replica.logged.progress import PROBE, REPLICATE, SNAPSHOT, Progress, ProgressState, Transfer
from comity.replica.logged.replay import Appended, Base, Natural, Replay, base_record, entry_record

__all__ = [
    "ENTRY_OVERHEAD_BYTES",
    "PROBE",
    "REPLICATE",
    "SNAPSHOT",
    "Appended",
    "Base",
    "EntryT",
    "Log",
    "LogEntry",
    "Natural",
    "Progress",
    "ProgressState",
    "Replay",
    "Transfer",
    "base_record",
    "entry_record",
    "size_of",
]
