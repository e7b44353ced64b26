"""Make the tables of docs/how-to/choose-a-guarantee.md from what the protocols promise.

    python docs/keyspaces/build.py            # what `make docs` runs
    python docs/keyspaces/build.py --check    # exit 1 and say what is out of date

The page is written by hand but for what lies between its markers.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from comity.keyspaces.choices import LEVELS, checked_options, chosen_level
from comity.keyspaces.explain import explain, span
from comity.protocols import load

ROOT = Path(__file__).resolve().parents[2]
PAGE = Path("docs/how-to/choose-a-guarantee.md")
REPLICAS = 3

KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "`raft`": ("raft", {}),
    "`raft`, `lease_reads=true`": ("raft", {"lease_reads": "true"}),
    "`paxos`": ("paxos", {}),
    "`primary-backup`": ("primary-backup", {}),
    "`primary-backup`, `mode=async loss_entries=100`": (
        "primary-backup",
        {"mode": "async", "loss_entries": "100"},
    ),
    "`chain`": ("chain", {}),
    "`quorum`": ("quorum", {}),
    "`quorum`, `conflicts=siblings`": ("quorum", {"conflicts": "siblings"}),
    "`quorum`, `r=1 w=1`": ("quorum", {"r": "1", "w": "1"}),
    "`gossip`": ("gossip", {}),
}
"""What a row is called -> protocol and options."""

BLOCK = re.compile(
    r"(?P<begin><!-- make docs: (?P<name>[^>]+?) -->\n).*?(?P<end><!-- end of what make docs made -->\n)",
    re.DOTALL,
)

SERVED = {"yes": "served", "no": "refused", "some": "some"}


def explained(kind: str) -> dict[str, Any]:
    """What a kind promises at its strongest level."""
    name, words = KINDS[kind]
    protocol = load()[name]
    options = checked_options(protocol, words)
    return explain("", protocol, options, chosen_level(protocol, options, REPLICAS, None), REPLICAS)


def table(head: tuple[str, ...], row: Callable[[dict[str, Any]], tuple[str, ...]]) -> str:
    """One row a kind."""
    lines = [" | ".join(["| kind", *head]) + " |", "|" + "---|" * (len(head) + 1)]
    lines += [" | ".join([f"| {kind}", *row(explained(kind))]) + " |" for kind in KINDS]
    return "\n".join(["", *lines, "", ""])


def promises() -> str:
    """The summary."""

    def row(found: dict[str, Any]) -> tuple[str, ...]:
        here = found["at"][found["level"]]
        sides = tuple(
            f"{SERVED[here[side]['reads']]}, {SERVED[here[side]['writes']]}"
            for side in ("minority", "majority")
        )
        loss = found["loss"]
        bound = f"up to {loss['entries']} entries" if loss["entries"] else "yes"
        return (
            f"`{found['level']}`",
            found["pacelc"],
            f"{here['read_quorum']}, {here['write_quorum']}",
            str(found["crash_faults"]),
            f"{span(here['read_round_trips'])}, {span(here['write_round_trips'])}",
            *sides,
            bound if loss["possible"] else "no",
        )

    head = (
        "strongest level",
        "PACELC",
        "waits for, read, write",
        "crashes",
        "round trips, read, write",
        "minority, read, write",
        "majority, read, write",
        "loses",
    )
    return table(head, row)


def levels() -> str:
    """What a read costs at each level."""

    def row(found: dict[str, Any]) -> tuple[str, ...]:
        def cell(level: str) -> str:
            if level not in found["at"]:
                return "–"
            here = found["at"][level]
            return f"{span(here['read_round_trips'])}, {SERVED[here['minority']['reads']]}"

        return tuple(cell(level) for level in LEVELS)

    return table(tuple(f"`{level}`" for level in LEVELS), row)


def commands() -> str:
    """Which commands are refused."""

    def row(found: dict[str, Any]) -> tuple[str, ...]:
        names = [name for group in found["commands"]["refused"] for name in group["names"]]
        return (" ".join(f"`{name}`" for name in names) or "none",)

    return table(("refused",), row)


TABLES = {"promises": promises, "levels": levels, "commands": commands}


def made() -> str:
    """The page with its tables. Raises ValueError for markers that do not belong."""
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    marked = [match["name"] for match in BLOCK.finditer(text)]
    if sorted(marked) != sorted(TABLES):
        raise ValueError(f"{PAGE} has markers for {marked}, there are tables {sorted(TABLES)}")
    return BLOCK.sub(lambda match: match["begin"] + TABLES[match["name"]]() + match["end"], text)


def main(arguments: list[str]) -> int:
    """Write the page if it is out of date, or only say so."""
    page = made()
    current = (ROOT / PAGE).read_text(encoding="utf-8") == page
    if arguments == ["--check"]:
        if not current:
            print(f"{PAGE} is out of date: run make docs")
        return 0 if current else 1
    if not current:
        (ROOT / PAGE).write_text(page, encoding="utf-8")
        print(PAGE)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
