"""`comity serve`: one node from flags, environment and a TOML file."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comity.server.errors import StartError

if TYPE_CHECKING:
    from comity.server.node import Node

Text = Annotated[str | None, typer.Option()]


def serve(
    config: Annotated[str | None, typer.Option(help="A TOML file with settings.")] = None,
    node: Annotated[int | None, typer.Option(help="This node's number, from 1.")] = None,
    cluster: Annotated[str | None, typer.Option(help="The cluster's name; others are refused.")] = None,
    data: Annotated[str | None, typer.Option(help="The data directory.")] = None,
    engine: Annotated[str | None, typer.Option(help="rocksdb, or memory, which forgets.")] = None,
    redis: Annotated[str | None, typer.Option(help="host:port for Redis clients.")] = None,
    peer: Annotated[str | None, typer.Option(help="host:port for the other nodes.")] = None,
    admin: Annotated[
        str | None, typer.Option(help="host:port for /health, /status, /metrics; '' for none.")
    ] = None,
    members: Annotated[
        str | None, typer.Option(help="The first membership: 1=PEER/REDIS,2=PEER/REDIS,... (host:port each).")
    ] = None,
    joining: Annotated[
        bool | None, typer.Option("--joining", help="Wait to be added to a running cluster of --members.")
    ] = None,
    keyspaces: Annotated[
        str | None, typer.Option(help="Raft logs beside 'default', served from the start, comma separated.")
    ] = None,
    keyspace: Annotated[
        list[str] | None,
        typer.Option(
            help="A keyspace to be created if missing: NAME=REPLICATION[:LEVEL]; may be given several times."
        ),
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(help="auto, json or console.")] = None,
    stop_with_stdin: Annotated[
        bool,
        typer.Option("--stop-with-stdin", help="Stop when standard input ends, as its writer's death does."),
    ] = False,
) -> None:
    """Run one node until SIGINT or SIGTERM. Flags win over COMITY_* variables, those over the file."""
    flags: dict[str, Any] = {
        name: value for name, value in locals().items() if name not in {"config", "stop_with_stdin"}
    }
    flags["keyspace"] = keyspace or None
    try:
        _serve(config, flags, stop_with_stdin)
    except StartError as error:
        print(f"comity: {error}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(error.code) from None


def _serve(config: str | None, flags: dict[str, Any], stop_with_stdin: bool) -> None:
    from comity.observe.log import EventLog
    from comity.server.node import serve as run
    from comity.server.settings import load

    settings = load(config, flags)
    log = EventLog(settings.log_level, settings.log_format)
    log.bind(node=settings.node)

    def note(event: str, **fields: Any) -> None:
        level = "error" if "failed" in event else "info"
        log.emit(level, event, time.monotonic_ns(), **fields)

    def ready(node: Node) -> None:
        print(  # noqa: T201
            f"ready node={settings.node} redis={settings.redis} peer={settings.peer} admin={settings.admin}",
            flush=True,
        )

    run(settings, note, ready, sys.stdin.fileno() if stop_with_stdin else None)
