"""`comity explain`: what a keyspace promises, of a running cluster or of one that could be."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from comity.console.port import Node, ask, fail, words_of


def explain(
    keyspace: Annotated[str, typer.Argument(help="A keyspace of a running cluster.")] = "",
    node: Node = "",
    replication: Annotated[
        str, typer.Option(help="Explain a keyspace of this protocol instead; no cluster is asked.")
    ] = "",
    replicas: Annotated[int, typer.Option(min=0, help="Of that keyspace; 3 if not given.")] = 0,
    voters: Annotated[
        int, typer.Option(min=0, help="Of its cluster's control group; 0 for as many as replicas.")
    ] = 0,
    option: Annotated[
        list[str] | None, typer.Option(help="Of its protocol, name=value; may be given several times.")
    ] = None,
    level: Annotated[str, typer.Option(help="What it gives unless asked for less; the strongest.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON, for programs.")] = False,
) -> None:
    """Spell out what a keyspace promises: its CAP and PACELC class and why, quorums, faults tolerated,
    round trips, what may be lost or stale, what happens on each side of a partition, and which commands
    are possible."""
    described = bool(replicas or voters or option or level)
    if keyspace and (replication or described):
        fail(
            "explain",
            f"keyspace {keyspace!r} is asked of the cluster, which knows its protocol; leave out either the "
            "name or --replication, --replicas, --voters, --option and --level",
            2,
        )
    if not keyspace and not replication:
        fail("explain", "name a keyspace of a running cluster, or describe one with --replication", 2)
    if keyspace:
        text = ask("explain", node, "KEYSPACE", "EXPLAIN", keyspace, "JSON" if as_json else "TEXT")
    elif node:
        fail("explain", "--node is of no use with --replication: no cluster is asked", 2)
    else:
        text = _described(replication.lower(), replicas or 3, voters, option, level.lower(), as_json)
    typer.echo(str(text).rstrip())


def _described(
    replication: str, replicas: int, voters: int, options: list[str] | None, level: str, as_json: bool
) -> str:
    from comity.keyspaces import choices, explain
    from comity.keyspaces.definition import KeyspaceError
    from comity.protocols import load

    try:
        protocol = choices.find_protocol(load(), replication)
        checked = choices.checked_options(protocol, words_of(options))
        given = choices.chosen_level(protocol, checked, replicas, level or None)
        explained = explain.explain("", protocol, checked, given, replicas, voters)
    except (KeyspaceError, ValueError) as error:
        fail("explain", str(error), 2)
    return json.dumps(explained, indent=1) if as_json else explain.as_text(explained)
