"""The answers printed in docs/tutorial/seven-guarantees.md are those that a cluster gives."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import hiredis
from tests.unit.node.small_cluster import Cluster

PAGE = Path(__file__).parents[3] / "docs" / "tutorial" / "seven-guarantees.md"
CLIENT = "redis-cli -p 700"
KILLED = "## 5."
"""From here on nodes are killed, and what is printed depends on when."""


def commands() -> list[tuple[str, str]]:
    """(command, what is printed) of the consoles on the page, lines of one answer joined."""
    found: list[tuple[str, list[str]]] = []
    inside = False
    for line in PAGE.read_text().partition(KILLED)[0].splitlines():
        if line.startswith("```"):
            inside = line == "```console"
        elif inside and line.startswith("$ "):
            found.append((line[2:], []))
        elif inside:
            found[-1][1].append(line)
    return [(command, " ".join(lines)) for command, lines in found]


def printed(answer: Any) -> str:
    """As redis-cli prints it on a terminal, lines joined."""
    if isinstance(answer, hiredis.ReplyError):
        return f"(error) {answer}"
    if isinstance(answer, int):
        return f"(integer) {answer}"
    if isinstance(answer, list):
        return " ".join(f"{number}) {printed(each)}" for number, each in enumerate(answer, 1))
    return f'"{answer.decode()}"'


def replies(data: bytes) -> list[Any]:
    reader = hiredis.Reader()
    reader.feed(data)
    found = []
    while (answer := reader.gets()) is not False:
        found.append(answer)
    return found


def test_what_the_page_prints_before_nodes_are_killed_is_what_is_answered() -> None:
    cluster = Cluster()
    cluster.elect()
    names = next(line for line, _ in commands() if line.startswith("ALL=")).removeprefix("ALL=").strip('"')
    checked = 0
    for line, expected in commands():
        if line.startswith("comity keyspace create"):
            words = shlex.split(line)
            said = cluster.call(1, ("KEYSPACE", "CREATE", words[3], "REPLICATION", words[5]), within_ms=2000)
            assert said == b"+OK\r\n", line
        elif line.startswith("for name in $ALL"):
            for name in names.split():
                assert cluster.call(1, ("SET", f"{name}:greeting", "hello"), within_ms=500) == b"+OK\r\n"
        elif line.startswith(CLIENT):
            node, *words = shlex.split(line.removeprefix(CLIENT))
            said = cluster.call(int(node), tuple(words), within_ms=2000)
            shown = "OK" if said == b"+OK\r\n" else printed(replies(said)[0])
            if words[0] == "KEYS":
                assert sorted(shown.split()[1::2]) == sorted(expected.split()[1::2]), line
            else:
                assert shown == expected, line
            checked += 1
        elif line.startswith("printf"):
            text, _, node = line.partition(" | ")
            lines = shlex.split(text)[1].replace("\\n", "\n").split("\n")[:-1]
            sent = [tuple(each.split()) for each in lines]
            answers = replies(cluster.call(int(node.removeprefix(CLIENT)), *sent, within_ms=2000))
            assert printed(answers[-1]) == expected.partition("QUEUED QUEUED ")[2], line
            checked += 1
        cluster.run(50)
    assert checked == 16
