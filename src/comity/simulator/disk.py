"""The log disk of one simulated machine: what is durable, what a crash leaves of the rest, and rot."""

from __future__ import annotations

from comity.node.turn import JournalWrite
from comity.replica import Stream

SECTOR_BYTES = 512


class Disk:
    """Segment files of one node.

    A write is `begin`, then either `complete` (it is durable) or a `crash` in between, which
    leaves nothing of it, all of it, a prefix cut at any byte, a mixture of written and unwritten
    sectors, or, misdirected, writes it over something else. Durable bytes only change by `rot` or
    a misdirected write; `damaged` names the files where that happened, which a node must refuse.
    """

    def __init__(self, stream: Stream) -> None:
        self.files: dict[str, bytearray] = {}
        self.pending: JournalWrite | None = None
        self.full = False
        self.slow = 1
        self.damaged: set[str] = set()
        self.written_bytes = 0
        self._durable: dict[str, int] = {}
        self._removed: list[tuple[str, bytearray]] = []
        self._stream = stream

    def begin(self, write: JournalWrite) -> None:
        """Start a write; one at a time."""
        assert self.pending is None, "a journal write was issued while another was outstanding"
        self.pending = write

    def complete(self) -> JournalWrite:
        """The write that was begun is durable now."""
        write = self.pending
        assert write is not None
        self.pending = None
        self._append(write.segment, write.data)
        self._durable[write.segment] = len(self.files[write.segment])
        if write.creates:
            self._removed.clear()
        for name in write.removes:
            removed = self.files.pop(name, None)
            if removed is not None and name not in self.damaged:
                self._removed.append((name, removed))
            self.damaged.discard(name)
        return write

    def crash(self, misdirect: bool = False, torn: bool = True) -> str:
        """Settle what is left after a crash. Returns a word for what became of the un-synced write."""
        self._forget_removals()
        write = self.pending
        self.pending = None
        if write is None:
            return "idle"
        if misdirect and self._misdirect(write.data):
            return "misdirected"
        draw = self._stream.below(100) if torn else self._stream.below(2) * 99
        if draw < 30:
            if write.creates and self._stream.chance(0.5):
                self.files.setdefault(write.segment, bytearray())
            return "lost"
        if draw >= 80:
            self._append(write.segment, write.data)
            return "complete"
        if draw < 65:
            kept = self._stream.below(len(write.data)) if write.data else 0
            data = write.data[:kept]
            if self._stream.chance(0.3):
                # The file has grown, but its last sectors were never written.
                start = len(self.files.get(write.segment, b""))
                kept = max(0, kept - (start + kept) % SECTOR_BYTES)
                data = write.data[:kept] + bytes(self._stream.between(1, len(write.data) - kept))
            self._append(write.segment, data)
            return "torn"
        self._append(write.segment, self._holes(len(self.files.get(write.segment, b"")), write.data))
        return "holes"

    def segments(self) -> list[tuple[str, bytes]]:
        """Every file, by name."""
        return [(name, bytes(self.files[name])) for name in sorted(self.files)]

    def truncate(self, name: str, valid_bytes: int) -> None:
        """Cut a torn tail, durably."""
        del self.files[name][valid_bytes:]

    def rot(self) -> bool:
        """Flip one durable bit somewhere. False when there is nothing to rot.

        What a crash left of a write that nobody was told of may be cut or kept; it is no loss.
        """
        names = [name for name in sorted(self.files) if self._durable.get(name)]
        if not names:
            return False
        name = self._stream.pick(names)
        data = self.files[name]
        data[self._stream.below(self._durable[name])] ^= 1 << self._stream.below(8)
        self.damaged.add(name)
        return True

    def wipe(self) -> None:
        """A new, empty disk."""
        self.files.clear()
        self.pending = None
        self.damaged.clear()
        self._durable.clear()
        self._removed.clear()

    def _append(self, name: str, data: bytes) -> None:
        self.written_bytes += len(data)
        self.files.setdefault(name, bytearray()).extend(data)

    def _forget_removals(self) -> None:
        # A removal is durable only with the next directory sync; files come back newest first,
        # as a file system that keeps its own operations in order brings them back.
        if self._removed:
            back = self._stream.below(len(self._removed) + 1)
            for name, data in self._removed[len(self._removed) - back :]:
                self.files[name] = data
            self._removed.clear()

    def _holes(self, start: int, data: bytes) -> bytes:
        result = bytearray(len(data))
        position = 0
        while position < len(data):
            end = min(len(data), position + SECTOR_BYTES - (start + position) % SECTOR_BYTES)
            if self._stream.chance(0.5):
                result[position:end] = data[position:end]
            position = end
        return bytes(result)

    def _misdirect(self, data: bytes) -> bool:
        names = [name for name in sorted(self.files) if self.files[name]]
        if not names or not data:
            return False
        name = self._stream.pick(names)
        target = self.files[name]
        offset = self._stream.below(len(target))
        hit = data[: len(target) - offset]
        if bytes(target[offset : offset + len(hit)]) == hit:
            return False
        target[offset : offset + len(hit)] = hit
        self.damaged.add(name)
        return True
