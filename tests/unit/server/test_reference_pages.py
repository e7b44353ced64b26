"""The reference pages name every setting, option and metric there is."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.main import get_command

from comity.console.main import COMMANDS
from comity.node import Bounds, Host, HostConfig, Journal
from comity.observe.metrics import _Collector
from comity.protocols import load
from comity.protocols.raft import RaftOptions
from comity.replica import Member
from comity.server.settings import Settings
from comity.store.engines.memory import MemoryEngine

PAGES = Path(__file__).parents[3] / "docs" / "reference"


def shown(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        units = {"_ns": ((10**9, "s"), (10**6, "ms")), "_bytes": ((1 << 20, "mb"), (1 << 10, "kb"))}
        for ending, factors in units.items():
            if name.endswith(ending):
                return next(f"{value // factor}{unit}" for factor, unit in factors if value % factor == 0)
    return "(empty)" if value in ("", {}) else str(value)


@pytest.mark.parametrize(("struct", "prefix"), [(Settings, ""), (Bounds, "bounds."), (RaftOptions, "raft.")])
def test_every_setting_is_described_with_its_default(struct: type[msgspec.Struct], prefix: str) -> None:
    page = (PAGES / "configuration.md").read_text()
    default = struct()
    for field in msgspec.structs.fields(struct):
        value = shown(field.name, getattr(default, field.name))
        assert f"| `{prefix}{field.name}` | {value} |" in page


def test_every_metric_is_described() -> None:
    page = (PAGES / "metrics.md").read_text()
    config = HostConfig(node=1, members=(Member(1, "a:1", "b:2"),))
    host = Host(config, Journal.recover([]), MemoryEngine(), load(), 1)
    names = {family.name for family in _Collector(host).collect()}
    assert len(names) > 20
    for name in names:
        assert f"| `{name}` |" in page


def commands_of(name: str) -> list[tuple[str, Any]]:
    module = importlib.import_module(COMMANDS[name][0])
    app = getattr(module, "app", None)
    if not isinstance(app, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command()(getattr(module, name))
    command: Any = get_command(app)
    inner = getattr(command, "commands", None)
    return [(f"{name} {sub}", each) for sub, each in inner.items()] if inner else [(name, command)]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_of_a_command_is_described(name: str) -> None:
    page = (PAGES / "cli.md").read_text()
    for full, command in commands_of(name):
        _, heading, rest = page.partition(f"`comity {full}`\n")
        assert heading, full
        part = rest.partition("\n#")[0]
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                for option in parameter.opts:
                    assert f"`{option}`" in part, f"{full} {option}"
