"""`comity status`: what the nodes of a cluster say of themselves."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer

from comity.console.http import ask, default_admins


def status(
    admin: Annotated[
        str,
        typer.Option(help="Admin addresses, host:port, comma separated; by default those of `comity up`."),
    ] = "",
    keyspace: Annotated[str, typer.Option(help="Which keyspace.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
    watch: Annotated[float, typer.Option(help="Show again every so many seconds.")] = 0.0,
) -> None:
    """Role, term, leader, lag and connections of every node. Exit code 1 when one is away or not ready."""
    addresses = [part.strip() for part in admin.split(",") if part.strip()] or default_admins()
    while True:
        answers = {address: ask(address, "/status") for address in addresses}
        if as_json:
            print(json.dumps(answers, indent=1))  # noqa: T201
        else:
            _show(answers, keyspace)
        if not watch:
            break
        time.sleep(watch)
    bad = any(answer is None or not answer.get("ready") for answer in answers.values())
    raise typer.Exit(1 if bad else 0)


def _show(answers: dict[str, dict[str, Any] | None], keyspace: str) -> None:
    from rich.console import Console
    from rich.table import Table

    # Without borders: it has to fit a terminal of 80 columns.
    table = Table(box=None, padding=(0, 1, 0, 0))
    for column in (
        "node",
        "admin",
        "role",
        "term",
        "leader",
        "applied",
        "lag",
        "durable",
        "clients",
        "health",
    ):
        table.add_column(column, justify="left" if column in ("admin", "role", "health") else "right")
    groups = [answer["groups"].get(keyspace) for answer in answers.values() if answer]
    commit = max((group["commit"] for group in groups if group), default=0)
    for address, answer in answers.items():
        if answer is None:
            table.add_row("?", address, "[red]no answer[/red]")
            continue
        group = answer["groups"].get(keyspace)
        if group is None:
            table.add_row(str(answer["node"]), address, "[red]no such keyspace[/red]")
            continue
        role = f"[bold green]{group['role']}[/bold green]" if group["role"] == "leader" else group["role"]
        health = "ready" if answer["ready"] else "[yellow]not ready, see below[/yellow]"
        figures = (
            group["term"],
            group["leader"],
            group["applied"],
            commit - group["applied"],
            group["durable"],
        )
        table.add_row(
            str(answer["node"]), address, role, *map(str, figures), str(answer["connections"]), health
        )
    console = Console()
    console.print(f"keyspace [bold]{keyspace}[/bold]")
    console.print(table)
    for answer in answers.values():
        if answer and not answer["ready"]:
            console.print(f"node {answer['node']}: {answer['health']}", markup=False, highlight=False)
        settings = answer["catalogue"].get("settings", {}) if answer else {}
        for name, found in settings.items():
            if answer and found["error"]:
                said = f"node {answer['node']}, keyspace {name!r} of its settings: {found['error']}"
                console.print(said, markup=False, highlight=False)
