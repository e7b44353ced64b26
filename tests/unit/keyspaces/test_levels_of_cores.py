"""What is promised is what the cores of registers accept: each is asked for every level."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from comity.keyspaces.choices import LEVELS
from comity.protocols import load
from comity.replica import (
    REASON_INVALID,
    CoreContext,
    KeyedProtocol,
    KeyOperation,
    Member,
    Members,
    Refused,
    Stream,
    View,
)
from comity.store.semantics import Semantics

NODES = (1, 2, 3)


class DictCells:
    """Cells in memory."""

    def __init__(self) -> None:
        self.cells: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.cells.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.cells.pop(key, None)
        else:
            self.cells[key] = value

    def walk(self, position: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
        return iter(())

    def __len__(self) -> int:
        return len(self.cells)


def accepted(name: str, options: dict[str, Any]) -> tuple[str, ...]:
    """The levels at which a read and a write are not refused as impossible."""
    protocol = load()[name]
    assert isinstance(protocol, KeyedProtocol)
    semantics = Semantics(protocol.semantics)
    context = CoreContext(
        node=1,
        group="carts",
        members=Members(voters=NODES, known=tuple(Member(node) for node in NODES)),
        stream=lambda label: Stream(1, label),
        note=lambda *_, **__: None,
        view=View(1, NODES),
        wall_ms=lambda: 1_700_000_000_000,
    )
    core = protocol.build(context, msgspec.convert(options, protocol.options), DictCells(), semantics.meaning)
    core.start(0)
    core.take(0)
    found = []
    for number, level in enumerate(LEVELS):
        replies = []
        for request, args in ((2 * number + 1, [b"GET", b"k"]), (2 * number + 2, [b"SET", b"k", b"v"])):
            payload = semantics.payload(2, [args], b"k")
            operation = KeyOperation(key=b"k", payload=payload, writes=args[0] == b"SET", level=level)
            core.execute(1_000_000, request, operation)
            replies += core.take(1_000_000).reply
        impossible = [
            reply
            for reply in replies
            if isinstance(reply.outcome, Refused) and reply.outcome.reason == REASON_INVALID
        ]
        assert len(impossible) in (0, 2), "reads and writes have the same levels"
        if not impossible:
            found.append(level)
    return tuple(found)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("paxos", {}),
        ("gossip", {}),
        ("quorum", {}),
        ("quorum", {"r": 3, "w": 1}),
        ("quorum", {"r": 1, "w": 3}),
        ("quorum", {"n": 2}),
        ("quorum", {"conflicts": "siblings"}),
        ("quorum", {"n": 2, "sloppy": True}),
    ],
)
def test_a_level_is_promised_exactly_where_the_core_accepts_it(name: str, options: dict[str, Any]) -> None:
    protocol = load()[name]
    assert protocol.promise is not None
    promised = protocol.promise(msgspec.convert(options, protocol.options), len(NODES)).levels
    assert accepted(name, options) == promised


def test_quorums_that_do_not_meet_promise_less_than_the_core_could() -> None:
    """A session could read N-W+1 replicas; who chose fewer answers does not want that."""
    assert accepted("quorum", {"r": 1, "w": 1}) == ("session", "eventual")
    protocol = load()["quorum"]
    assert protocol.promise is not None
    options = msgspec.convert({"r": 1, "w": 1}, protocol.options)
    assert protocol.promise(options, len(NODES)).levels == ("eventual",)
