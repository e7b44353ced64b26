"""`comity member`: membership changes and leader transfer, through any node's admin port."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from comity.console.http import ask, default_admins, order

ELECTION_S = 3.0

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Change who replicates a keyspace.")

Admin = Annotated[
    str, typer.Option(help="Admin addresses of some nodes, comma separated; by default those of `comity up`.")
]
Keyspace = Annotated[str, typer.Option(help="Which keyspace.")]
NodeNumber = Annotated[int, typer.Argument(min=1, help="The node's number.")]


@app.command()
def add(
    node: NodeNumber,
    peer: Annotated[str, typer.Argument(help="Its peer address, host:port.")],
    redis: Annotated[str, typer.Argument(help="Its Redis address, host:port.")] = "",
    admin: Admin = "",
    keyspace: Keyspace = "default",
) -> None:
    """Add a node as a learner: it gets the log but does not vote until it is promoted."""
    _order({"action": "add", "node": node, "peer": peer, "redis": redis, "keyspace": keyspace}, admin)


@app.command()
def promote(node: NodeNumber, admin: Admin = "", keyspace: Keyspace = "default") -> None:
    """Make a learner that has caught up a voter."""
    _order({"action": "promote", "node": node, "keyspace": keyspace}, admin)


@app.command()
def remove(node: NodeNumber, admin: Admin = "", keyspace: Keyspace = "default") -> None:
    """Remove a member. A removed number must not come back with an empty disk."""
    _order({"action": "remove", "node": node, "keyspace": keyspace}, admin)


@app.command()
def transfer(
    node: Annotated[int, typer.Argument(min=0, help="To whom; 0 for the most caught-up voter.")] = 0,
    admin: Admin = "",
    keyspace: Keyspace = "default",
) -> None:
    """Hand the leadership over."""
    _order({"action": "transfer", "node": node, "keyspace": keyspace}, admin)


def _order(body: dict[str, Any], admin: str) -> None:
    addresses = [part.strip() for part in admin.split(",") if part.strip()] or default_admins()
    address = _leader_of(addresses, body["keyspace"])
    if address is None:
        print(  # noqa: T201
            f"comity member: the leader is not among the nodes that answer at {', '.join(addresses)}; "
            "name the admin addresses with --admin",
            file=sys.stderr,
        )
        raise typer.Exit(1)
    status, answer = order(address, "/members", body)
    if status == 200:
        print(f"done: {body['action']} {body.get('node', '')}".rstrip())  # noqa: T201
        return
    print(f"comity member: {answer.get('error', answer)}", file=sys.stderr)  # noqa: T201
    raise typer.Exit(2 if status == 400 else 1)


def _leader_of(addresses: list[str], keyspace: str) -> str | None:
    """The admin address of the node that says it leads; where nobody does, an election may be under way."""
    deadline = time.monotonic() + ELECTION_S
    while True:
        found = [ask(address, "/status") for address in addresses]
        for address, status in zip(addresses, found, strict=True):
            if status is not None and status["groups"].get(keyspace, {}).get("role") == "leader":
                return address
        if not any(found) or time.monotonic() > deadline:
            return None
        time.sleep(0.1)
