"""A verdict in the terminal: what holds, the smallest witness in words, and what to do next."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from comity.checkers.analysis import Analysis
from comity.checkers.history import Operation, Outcome
from comity.checkers.inputs import Reading
from comity.checkers.registers import Staleness
from comity.checkers.verdict import Status, Verdict

SHOWN_VERDICTS = 4
SHOWN_OPERATIONS = 16
COLOURS = {Status.VALID: "green", Status.VIOLATION: "red", Status.UNKNOWN: "yellow"}
MARKS = {Status.VALID: "holds", Status.VIOLATION: "violated", Status.UNKNOWN: "unknown"}


def show(console: Console, file: str, reading: Reading, analysis: Analysis, page: Path | None = None) -> None:
    """Print the report of one file."""
    outcomes = reading.history.outcomes()
    console.print(
        f"[bold]{escape(file)}[/]: {len(reading.history):,} operations ({outcomes['ok']:,} ok, "
        f"{outcomes['fail']:,} fail, {outcomes['info']:,} unknown), {escape(reading.format)}, read as "
        f"{escape(analysis.data_type)}, checked in {analysis.seconds:.2f} s"
    )
    table = Table(box=None, padding=(0, 2), show_header=False)
    for model, status in analysis.models.items():
        table.add_row(f"  {model}", f"[{COLOURS[status]}]{MARKS[status]}[/]")
    console.print(table)
    told: set[str] = set()
    for verdict in analysis.verdicts:
        if len(told) == SHOWN_VERDICTS or verdict.explanation in told:
            continue
        told.add(verdict.explanation)
        _verdict(console, verdict)
    holds = ", ".join(analysis.strongest) or "none of the models asked for"
    colour = COLOURS[analysis.status]
    if analysis.staleness is not None and analysis.staleness.at_most > 1:
        console.print(f"\nhow stale: {_how_stale(analysis.staleness)}")
    console.print(f"\n[{colour} bold]{analysis.status.value}[/]: the strongest that holds: [bold]{holds}[/]")
    console.print(_next_step(analysis, page), style="dim")


def _verdict(console: Console, verdict: Verdict) -> None:
    key = "" if verdict.key is None else f" (key {verdict.key!r})"
    name = f"{verdict.anomaly}, not {verdict.model}" if verdict.anomaly else f"not {verdict.model}"
    if verdict.status is Status.UNKNOWN:
        name = f"{verdict.model} unknown"
    console.print(f"\n[bold {COLOURS[verdict.status]}]{escape(name + key)}[/]")
    console.print("  " + escape(verdict.explanation))
    shown = verdict.witness[-SHOWN_OPERATIONS:]
    if verdict.status is Status.VIOLATION and shown and not verdict.linearization:
        if len(shown) < len(verdict.witness):
            console.print(f"  the last {len(shown)} of {len(verdict.witness)} operations of the witness:")
        for operation in shown:
            console.print("  " + escape(_line(operation)), style="dim")


def _line(o: Operation) -> str:
    where = "" if o.key is None else f" {o.key}"
    result = f" -> {o.result!r}" if o.outcome is Outcome.OK and o.result != o.value else ""
    value = "" if o.value is None else f" {o.value!r}"
    end = "" if o.outcome is Outcome.OK else f" ({o.outcome.value})"
    return f"#{o.index} process {o.process}: {o.f}{where}{value}{result}{end}"


def _how_stale(told: Staleness) -> str:
    if told.at_least == told.at_most:
        return (
            f"k = {told.at_most}: in some order that keeps real time every read returns one of the last "
            f"{told.at_most} writes, in none one of the last {told.at_most - 1}"
        )
    return (
        f"k is {told.at_least} to {told.at_most}: in some order that keeps real time every read returns one "
        f"of the last {told.at_most} writes, in none one of the last {told.at_least - 1}"
    )


def _next_step(analysis: Analysis, page: Path | None) -> str:
    if page is not None:
        return f"the page with the timeline: {page}"
    if analysis.status is Status.UNKNOWN:
        return "next: raise --seconds, --memory or --states, or ask for one --model"
    if analysis.status is Status.VIOLATION:
        return "next: --html PAGE draws the witness; --model NAME asks whether what you were promised holds"
    return "every model that applies holds"
