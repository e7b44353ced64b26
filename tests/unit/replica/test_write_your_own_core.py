"""The guide's example is a working protocol, as printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from comity.replica import CoreContext, Members, Recovered, Stream

GUIDE = Path(__file__).parents[3] / "docs" / "how-to" / "write-your-own-core.md"


def _example() -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "example"}
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        exec(compile(block, str(GUIDE), "exec"), namespace)
    return namespace


def _context(node: int) -> CoreContext:
    return CoreContext(
        node=node,
        group="g",
        members=Members(voters=(1, 2, 3)),
        stream=lambda label: Stream(0, label),
        note=lambda event, **fields: None,
    )


def test_the_example_core_commits_on_every_replica_in_order() -> None:
    example = _example()
    protocol = example["PROTOCOL"]
    cores = {node: protocol.build(_context(node), protocol.options(), Recovered()) for node in (1, 2, 3)}
    for number in range(5):
        cores[1].propose(0, number, b"%d" % number)
    applied = example["deliver"](cores)
    assert applied == {node: [b"0", b"1", b"2", b"3", b"4"] for node in (1, 2, 3)}


def test_the_example_core_commits_nothing_while_one_replica_has_not_stored_it() -> None:
    example = _example()
    protocol = example["PROTOCOL"]
    cores = {node: protocol.build(_context(node), protocol.options(), Recovered()) for node in (1, 2, 3)}
    cores[1].propose(0, 1, b"x")
    sent = cores[1].take(0)
    cores[1].persisted(0, 1)
    cores[2].receive(0, 1, sent.send[0].message)
    cores[1].receive(0, 2, cores[2].take(0).send_durable[0].message)
    assert cores[1].take(0).apply == []


def test_the_example_codec_reads_what_it_writes() -> None:
    example = _example()
    codec = example["PROTOCOL"].codec
    for message in (example["Entry"](3, b"\0x"), example["Stored"](3), example["Commit"](4)):
        assert codec.decode(codec.encode(message)) == message
