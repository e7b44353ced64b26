"""What protocols that replicate a log have in common, whoever writes it and whoever decides.

`Log` is the log in memory, `Replay` brings it back from the journal.
"""

from comity.replica.logged.log import ENTRY_OVERHEAD_BYTES, EntryT, Log, LogEntry, size_of
from comity.replica.logged.replay import Appended, Base, Natural, Replay, base_record, entry_record

__all__ = [
    "ENTRY_OVERHEAD_BYTES",
    "Appended",
    "Base",
    "EntryT",
    "Log",
    "LogEntry",
    "Natural",
    "Replay",
    "base_record",
    "entry_record",
    "size_of",
]
