"""Run the benchmarks, print what was found beside what is wanted, write results/."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import chart, dial, failover, idle, machine, startup, targets
from benchmarks.load import KEYS, VALUE_BYTES
from benchmarks.throughput import ROWS, SYSTEMS, Throughput

PARTS = ("dial", "failover", "idle", "startup", "import")


def options() -> argparse.Namespace:
    """The command line."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="comity (3 nodes, fsync on, RocksDB) beside etcd, Redis and PySyncObj on this machine.",
        epilog=f"parts: {', '.join([*names, *PARTS])}",
    )
    parser.add_argument("--only", nargs="+", metavar="PART", choices=[*names, *PARTS], help="run only these")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long a row lasts in each round")
    parser.add_argument("--failovers", type=int, default=20)
    parser.add_argument("--keys", type=int, default=1_000_000, help="keys of the start-up part")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 s, 5 failovers, 100,000 keys")
    parser.add_argument("--output", type=Path, default=Path("results"))
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.seconds, chosen.failovers, chosen.keys = 2, 1.0, 5, 100_000
    return chosen


def measure(chosen: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Every part asked for, as one JSON document."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False)

    wanted = set(chosen.only or [*(row.name for row in ROWS), *PARTS])
    began = time.time()
    document: dict[str, Any] = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "machine": machine.facts(),
        "value_bytes": VALUE_BYTES,
        "keys": KEYS,
        "rounds": chosen.rounds,
        "seconds_per_row": chosen.seconds,
    }
    rows = [row for row in ROWS if row.name in wanted]
    if rows:
        throughput = Throughput(chosen.rounds, chosen.seconds, say)
        throughput.run(rows, chosen.systems)
        document["versions"] = throughput.versions
        document["skipped"] = throughput.skipped
        document["throughput"] = {
            row.name: {
                name: throughput.cells[row.name, name].summary()
                for name in row.systems
                if (row.name, name) in throughput.cells
            }
            for row in rows
        }
    if "dial" in wanted:
        say("every kind of keyspace")
        document.setdefault("versions", {})
        document.setdefault("throughput", {}).update(dial.run(chosen.rounds, chosen.seconds, say))
    if "import" in wanted:
        document["import"] = startup.imports()
    if "startup" in wanted:
        say("start-up")
        document["startup"] = startup.run(chosen.keys, say)
    if "idle" in wanted:
        say("1,000 idle connections on each node, 100 idle keyspaces")
        document["idle"] = idle.run(1000, 100, 10.0, say)
    if "failover" in wanted:
        say(f"kill -9 of the leader, {chosen.failovers} times")
        document["failover"] = failover.run(chosen.failovers, say)
    document["took_s"] = round(time.time() - began, 1)
    return document


def print_results(document: dict[str, Any], console: Console) -> None:
    """The tables."""
    titles = {row.name: row.title for row in ROWS} | dial.TITLES
    if document.get("throughput"):
        table = Table("row", "system", "per second", "p50 ms", "p99 ms", "CPU s per 100,000", "comity is")
        for row, systems in document["throughput"].items():
            ours = systems.get("comity", {}).get("per_second")
            for system, cell in systems.items():
                cpu = cell["cpu_s_per_100k"]
                times = f"{ours / cell['per_second']:.2f}x" if ours and system != "comity" else ""
                table.add_row(
                    titles[row] if system == next(iter(systems)) else "",
                    system,
                    f"{cell['per_second']:,.0f}",
                    f"{cell['p50_ms']:.3f}",
                    f"{cell['p99_ms']:.3f}",
                    f"{cpu:.2f}" if cpu is not None else "-",
                    times,
                )
        console.print(table)
    for name, why in document.get("skipped", {}).items():
        console.print(f"skipped: {name}: not installed: {why}", highlight=False, markup=False)
    table = Table("target", "wanted", "measured", "reached")
    for judged in document["targets"]:
        table.add_row(judged["what"], judged["wanted"], judged["text"], judged["verdict"])
    console.print(table)


def main() -> int:
    """0 when everything asked for ran, whatever the figures; they are for people to judge."""
    chosen = options()
    console = Console(width=None if sys.stdout.isatty() else 130)
    document = measure(chosen, console)
    words = {True: "reached", False: "NOT reached", None: "-"}
    document["targets"] = [
        {
            "what": judged.what,
            "wanted": judged.wanted,
            "measured": judged.measured,
            "reached": judged.reached,
            "text": judged.sentence(),
            "verdict": words[judged.reached],
        }
        for judged in targets.judge(document)
        if judged.measured is not None or not chosen.only
    ]
    print_results(document, console)
    chosen.output.mkdir(parents=True, exist_ok=True)
    written = [chosen.output / "benchmarks.json"]
    written[0].write_text(json.dumps(document, indent=2) + "\n")
    if document.get("throughput"):
        facts = [
            ", ".join(document["versions"].values()),
            f"{document['machine']['processor']}, {document['machine']['cores']} cores, "
            f"Linux {document['machine']['kernel']}, Python {document['machine']['python']}; "
            f"{VALUE_BYTES}-byte values, {KEYS:,} keys, {document['rounds']} rounds; load from there too",
        ]
        titles = {row.name: row.title for row in ROWS} | dial.TITLES
        written.append(chosen.output / "benchmarks.svg")
        written[1].write_text(chart.draw(titles, document["throughput"], facts))
    console.print(f"written: {', '.join(map(str, written))} ({document['took_s']} s)", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
