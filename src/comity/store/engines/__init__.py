"""Engines: ordered maps of bytes that hold the state of all groups of a node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol


class EngineView(Protocol):
    """The content of an engine at one point in time, for one thread at a time and one scan at a time.
    Close it: it holds back space."""

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None where there is none."""

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start <= key < end, in the order of their bytes."""

    def close(self) -> None:
        """Let go of it. Closing twice is harmless."""


class Engine(Protocol):
    """What a state machine needs of its storage. All errors are `EngineError`.

    One thread may write or sync while another reads. Writing needs one writer at a time.
    """

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None where there is none."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of several keys, in their order."""

    def write(
        self, puts: Iterable[tuple[bytes, bytes | None]], clear: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """Delete the ranges [start, end) of `clear`, then put each key (value None deletes it).

        Atomic towards crashes: after one, all of it is there or nothing. A reader in another thread may
        see it half done. `puts` may be a generator: it is consumed in slices, between which other
        threads get to run. Not durable before `sync`.
        """

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start <= key < end, in the order of their bytes, as of now or later."""

    def view(self) -> EngineView:
        """The content as of now, unmoved by later writes. Not while a write is under way."""

    def sync(self) -> None:
        """When this returns, everything written so far survives a crash."""

    def checkpoint(self, path: str) -> None:
        """A copy of the content at `path`, which must not exist, to be opened like the original."""

    def close(self) -> None:
        """Release everything. What was not synced may be lost. Closing twice is harmless."""
