"""The `comity` command: each subcommand is imported only when it is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("comity.console.up", "Start a local cluster of real processes, in the foreground."),
    "serve": ("comity.console.serve", "Run one node."),
    "status": ("comity.console.status", "Show what the nodes of a cluster say of themselves."),
    "member": ("comity.console.member", "Add, promote or remove a member, or move the leadership."),
    "keyspace": ("comity.console.keyspace", "Create, list, describe, alter or drop keyspaces."),
    "explain": ("comity.console.explain", "Spell out what a keyspace promises."),
    "measure": (
        "comity.console.measure",
        "Prove in simulation what explain claims, over a topology, with and without a partition.",
    ),
    "simulate": (
        "comity.console.simulate",
        "Run clusters in virtual time under faults; find and shrink failures.",
    ),
    "chaos": (
        "comity.console.chaos.command",
        "Run real processes under kill -9, SIGSTOP and cut links; check the history.",
    ),
    "check": ("comity.console.check", "Say what a recorded history of any store guarantees."),
    "bench": ("comity.console.bench", "Put load on a Redis port and measure it."),
    "demo": ("comity.console.demo", "Three nodes, a murdered leader, every acknowledged write checked."),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point. Exit codes: 0 good, 1 failure or violation, 2 usage, 3 unknown verdict."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())  # noqa: T201
        raise SystemExit(0 if words else 2)
    name = words[0]
    if name in ("-V", "--version", "version"):
        import comity

        print(f"comity {comity.__version__}")  # noqa: T201
        raise SystemExit(0)
    if name not in COMMANDS:
        import difflib

        close = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        print(f"comity: there is no command '{name}'.{hint} 'comity --help' lists them.", file=sys.stderr)  # noqa: T201
        raise SystemExit(2)
    _run(name, words[1:])


def _run(name: str, words: list[str]) -> None:
    import typer

    module = importlib.import_module(COMMANDS[name][0])
    app = getattr(module, "app", None)
    if not isinstance(app, typer.Typer):
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command(help=COMMANDS[name][1])(getattr(module, name))
    app(args=words, prog_name=f"comity {name}")


def _help() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [
        "Usage: comity COMMAND [OPTIONS]",
        "",
        "A replicated key-value store that speaks the Redis protocol.",
        "",
    ]
    lines += [f"  {name:{width}}{text}" for name, (_, text) in COMMANDS.items()]
    lines += ["", "'comity COMMAND --help' says what a command takes; 'comity version' what this is."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
