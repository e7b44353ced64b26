"""`comity check`: is a recorded history linearizable?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

UNUSABLE_INPUT = 2


def check(
    file: Annotated[Path, typer.Argument(help="A history: one JSON object a line, each an event.")],
    model: Annotated[
        str, typer.Option(help="What its operations are about: kv, register, cas-register.")
    ] = "kv",
    seconds: Annotated[float, typer.Option(help="Give up, with the verdict unknown, after so long.")] = 60.0,
    states: Annotated[
        int, typer.Option(min=1, help="Give up when so many configurations would have to be remembered.")
    ] = 5_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Is a recorded history linearizable?

    Each line: {"process": 1, "type": "invoke", "f": "SET", "key": "a", "value": "1", "time": 5}, where
    type is invoke, ok, fail (it did not happen) or info (nobody knows). Exit status 0: valid; 1: a
    violation, shown with its smallest failing prefix; 2: not a history; 3: unknown, a limit was reached.
    """
    from comity.checkers import CheckerError, Limits, check_history, read_history

    try:
        history = read_history(file)
        report = check_history(history, model, Limits(time_ns=int(seconds * 1e9), states=states))
    except CheckerError as error:
        _refuse(str(error), as_json)
    except OSError as error:
        _refuse(f"{file}: {error.strerror}", as_json)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
        raise typer.Exit(report.exit_status)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    outcomes = history.outcomes()
    console.print(
        f"{file}: {len(history):,} operations ({outcomes['ok']:,} ok, {outcomes['fail']:,} fail, "
        f"{outcomes['info']:,} unknown) on {report.keys:,} keys, checked in {report.seconds:.2f} s"
    )
    for verdict in report.verdicts:
        key = "" if verdict.key is None else f"{verdict.key}: "
        console.print(f"\n{key}{verdict.explanation or verdict.status.value}")
    words = {"valid": "linearizable", "violation": "NOT linearizable", "unknown": "unknown"}
    console.print(f"\n{words[report.status.value]}: {report.established}")
    raise typer.Exit(report.exit_status)


def _refuse(reason: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"status": "unusable", "reason": reason}))
    else:
        typer.echo(f"comity check: {reason}", err=True)
    raise typer.Exit(UNUSABLE_INPUT)
