"""What the table knows of a command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from comity.store.commands.connection import elsewhere
from comity.store.keyspace import Context

Apply = Callable[[Context, list[bytes]], bytes]


@dataclass(frozen=True, slots=True)
class Command:
    """One command, or one sub-command of a container such as CLIENT.

    name: upper case; of a sub-command `CONTAINER|NAME`. arity: arguments with the name, negative for "at
    least". first_key, last_key, step: where its keys are, 0 for none; a negative last_key counts from
    the end. All as Redis has them.
    flags: Redis's ("write", "readonly", "fast", "denyoom", "admin", "noscript", "loading", "stale",
    "no_auth", "allow_busy", "skip_slowlog"; "dangerous" is an ACL category), and ours: "connection" (the
    node carries it out), "timed" (its answer depends on the time, so it goes through the log even
    though it writes nothing), "internal" (clients cannot call it).
    syntax: the arguments after the name, in the notation of the reference.
    key_access: for each key argument, how Redis's key specifications describe what happens to it.
    tips: hints for proxies, as in COMMAND INFO. slow_on: when it is slow, "" if never.
    """

    name: bytes
    arity: int
    flags: frozenset[str]
    first_key: int
    last_key: int
    step: int
    apply: Apply
    group: str
    since: str
    summary: str
    complexity: str
    syntax: str = ""
    slow_on: str = ""
    key_access: tuple[str, ...] = ()
    tips: tuple[str, ...] = ()
    subcommands: tuple[Command, ...] = ()

    @property
    def title(self) -> str:
        """The name as people write it, such as CLIENT ID."""
        return self.name.decode().replace("|", " ")


def command(
    usage: str,
    arity: int,
    flags: str,
    apply: Apply,
    group: str,
    since: str,
    summary: str,
    *,
    key: tuple[int, int, int] = (0, 0, 0),
    access: tuple[str, ...] = (),
    complexity: str = "O(1)",
    slow_on: str = "",
    tips: str = "",
    subcommands: tuple[Command, ...] = (),
) -> Command:
    """An entry. usage: the name and the syntax; key: first, last and step; flags and tips: words."""
    name, _, syntax = usage.partition(" ")
    return Command(
        name=name.encode(),
        arity=arity,
        flags=frozenset(flags.split()),
        first_key=key[0],
        last_key=key[1],
        step=key[2],
        apply=apply,
        group=group,
        since=since,
        summary=summary,
        complexity=complexity,
        syntax=syntax,
        slow_on=slow_on,
        key_access=access,
        tips=tuple(tips.split()),
        subcommands=subcommands,
    )


def subcommand(usage: str, arity: int, flags: str, since: str, summary: str, tips: str = "") -> Command:
    """An entry of a container. usage: container, name and syntax."""
    container, _, rest = usage.partition(" ")
    group = "server" if container in ("COMMAND", "CONFIG") else "connection"
    return command(
        f"{container}|{rest}",
        arity,
        f"connection {flags}",
        elsewhere,
        group,
        since,
        summary,
        tips=tips,
    )
