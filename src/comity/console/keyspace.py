"""`comity keyspace`: the KEYSPACE command of a running cluster, with the same words."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from comity.console.port import Node, ask, fail, words_of

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Which keyspaces there are, and what each promises."
)

Name = Annotated[str, typer.Argument(help="The keyspace; keys beginning with 'NAME:' belong to it.")]
Consistency = Annotated[
    str, typer.Option(help="What it gives unless asked for less; the strongest if not given.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


@app.command()
def create(
    name: Name,
    replication: Annotated[str, typer.Option(help="The protocol.")] = "raft",
    consistency: Consistency = "",
    replicas: Annotated[int, typer.Option(min=0, help="Nodes that hold it; 0 for all members.")] = 0,
    option: Annotated[
        list[str] | None, typer.Option(help="Of the protocol, name=value; may be given several times.")
    ] = None,
    node: Node = "",
) -> None:
    """Have keys that begin with 'NAME:' replicated in a way of their own."""
    words = ["REPLICATION", replication]
    if consistency:
        words += ["CONSISTENCY", consistency]
    if replicas:
        words += ["REPLICAS", str(replicas)]
    try:
        for key, value in words_of(option).items():
            words += ["OPTION", key, value]
    except ValueError as error:
        fail("keyspace", str(error), 2)
    ask("keyspace", node, "KEYSPACE", "CREATE", name, *words)
    typer.echo(f"created: {name}; `comity explain {name}` says what it promises")


@app.command("list")
def list_(node: Node = "", as_json: AsJson = False) -> None:
    """List the keyspaces: name, protocol, level, state."""
    rows = ask("keyspace", node, "KEYSPACE", "LIST")
    columns = ("name", "replication", "level", "state")
    if as_json:
        typer.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=1))
        return
    widths = [max(len(str(row[place])) for row in [columns, *rows]) for place in range(len(columns))]
    for row in [columns, *rows]:
        typer.echo("  ".join(f"{word:{width}}" for word, width in zip(row, widths, strict=True)).rstrip())


@app.command()
def info(name: Name, node: Node = "") -> None:
    """Describe a keyspace and how the node that is asked serves it, as JSON."""
    typer.echo(ask("keyspace", node, "KEYSPACE", "INFO", name))


@app.command()
def alter(
    name: Name,
    consistency: Annotated[str, typer.Option(help="What it gives unless asked for less.")] = "",
    replicas: Annotated[int, typer.Option(min=0, help="Nodes that hold it.")] = 0,
    node: Node = "",
) -> None:
    """Change what a keyspace promises unless asked for less, or how many nodes hold it."""
    words = []
    if consistency:
        words += ["CONSISTENCY", consistency]
    if replicas:
        words += ["REPLICAS", str(replicas)]
    if not words:
        fail("keyspace", "nothing to change: give --consistency or --replicas", 2)
    ask("keyspace", node, "KEYSPACE", "ALTER", name, *words)
    typer.echo(f"altered: {name}")


@app.command()
def drop(name: Name, node: Node = "") -> None:
    """Delete a keyspace with everything in it."""
    ask("keyspace", node, "KEYSPACE", "DROP", name)
    typer.echo(f"dropped: {name}")
