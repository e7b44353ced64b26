"""Talking to the Redis port of some node of a cluster, through redis-py."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

import typer

from comity.console.http import DEFAULT_BASE_PORT

CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 20.0

Node = Annotated[
    str,
    typer.Option(
        help="Redis addresses of some nodes, host:port, comma separated: the first that answers is asked. By "
        "default those of `comity up`."
    ),
]


def fail(command: str, message: str, code: int) -> NoReturn:
    """One line on stderr, and the exit code: 1 where the cluster could not, 2 where the input is wrong."""
    typer.echo(f"comity {command}: {message}", err=True)
    raise typer.Exit(code)


def words_of(options: list[str] | None) -> dict[str, str]:
    """{name: value} of `name=value`s, names as the protocols spell them. Raises `ValueError`."""
    found: dict[str, str] = {}
    for option in options or []:
        name, equals, value = option.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"option {option!r} must be name=value")
        found[name.strip().lower().replace("-", "_")] = value.strip()
    return found


def ask(command: str, node: str, *words: str) -> Any:
    """What the first node that answers replies; ends the command where none does, or it is an error."""
    import redis

    addresses = [part.strip() for part in node.split(",") if part.strip()]
    addresses = addresses or [f"127.0.0.1:{DEFAULT_BASE_PORT + offset}" for offset in range(3)]
    trouble = ""
    for address in addresses:
        host, port = _split(command, address)
        client: Any = redis.Redis(
            host=host,
            port=port,
            decode_responses=True,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=ANSWER_TIMEOUT_S,
        )
        try:
            client.ping()
        except (redis.RedisError, OSError) as error:
            trouble = trouble or f"{address}: {error}"
            continue
        try:
            return client.execute_command(*words)
        except redis.ResponseError as error:
            busy = isinstance(error, redis.exceptions.TryAgainError | redis.exceptions.ClusterDownError)
            fail(command, str(error), 1 if busy else 2)
        except (redis.RedisError, OSError) as error:
            # Not asked again elsewhere: what was asked for may have happened.
            fail(command, f"{address}: {error}; whether it was done is not known", 1)
        finally:
            client.close()
    return fail(
        command,
        f"no node answers at {', '.join(addresses)} ({trouble}); name the Redis addresses with --node",
        1,
    )


def _split(command: str, address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        fail(command, f"--node {address!r} is not host:port", 2)
    return host.strip("[]"), int(port)
