"""`comity check`: what does a recorded history really guarantee?"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from comity.checkers import Analysis, Reading

UNUSABLE_INPUT = 2


def check(
    files: Annotated[list[Path], typer.Argument(help="Histories of any known format; - is standard input.")],
    data_type: Annotated[
        str | None,
        typer.Option("--type", help="What the operations are about, where the file does not tell."),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Ask only about this model; may be given several times.")
    ] = None,
    format_name: Annotated[
        str | None, typer.Option("--format", help="The format, where its content does not tell.")
    ] = None,
    initial: Annotated[
        str | None, typer.Option(help="The value before any write, as JSON; null for none.")
    ] = None,
    nil_read: Annotated[
        str | None, typer.Option(help="What an ok read of nil says: initial or wildcard (nothing).")
    ] = None,
    failed_cas: Annotated[
        str | None, typer.Option(help="What a failed cas says: compare-failed or did-not-happen.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="A file's verdict is unknown after so long.")] = 60.0,
    memory: Annotated[int, typer.Option(min=1, help="MiB that a check may take.")] = 1024,
    states: Annotated[int, typer.Option(min=1, help="Configurations that may be remembered.")] = 5_000_000,
    jobs: Annotated[int, typer.Option(min=0, help="Processes for the keys; 0 for one a core.")] = 1,
    backend: Annotated[str, typer.Option(help="Where they run: loky (here), dask, ray.")] = "loky",
    html: Annotated[
        Path | None, typer.Option(help="Write one self-contained page about the (last) file.")
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option(
            help="Draw the (last) file as one static picture; of more than 36 operations, the witness and "
            "what lies around it."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON a file.")] = False,
    progress: Annotated[bool, typer.Option(help="Show progress on a terminal.")] = True,
) -> None:
    """What does a recorded history really guarantee?

    Reads Jepsen's, Maelstrom's, Knossos's, Elle's and Porcupine's files and JSON lines, and answers for
    every model that applies. Exit status: 0 every model asked for holds (without --model: all that apply,
    so the strongest does); 1 a violation; 2 not a history; 3 unknown, a limit was reached. Of several
    files the worst: 2, then 1, then 3.
    """
    options = {"initial": initial, "nil_read": nil_read, "failed_cas": failed_cas}
    worst = 0
    for file in files:
        worst = max(
            worst,
            _one(
                file,
                data_type,
                model,
                format_name,
                options,
                (seconds, memory, states, jobs, backend),
                (html, svg),
                as_json,
                progress,
            ),
            key=[0, 3, 1, 2].index,
        )
    raise typer.Exit(worst)


def _one(
    file: Path,
    data_type: str | None,
    models: list[str] | None,
    format_name: str | None,
    options: dict[str, str | None],
    limits: tuple[float, int, int, int, str],
    pages: tuple[Path | None, Path | None],
    as_json: bool,
    progress: bool,
) -> int:
    from comity.checkers import CheckerError, Limits, UnsuitableHistory, analyse, open_history

    seconds, memory, states, jobs, backend = limits
    html, svg = pages
    try:
        with _reading(file, progress and not as_json) as tell:
            reading = open_history(str(file), format_name, tell)
        chosen = data_type or reading.data_type or ("register" if not reading.history.operations else None)
        if chosen is None:
            raise UnsuitableHistory(
                "the operations do not tell what they are about: say --type register, kv, set, queue, stack, "
                "counter, mutex, bank, kafka, ..."
            )
        with _checking(progress and not as_json):
            semantics = _semantics(reading, options)
            analysis = analyse(
                reading.history,
                chosen,
                semantics=semantics,
                models=models,
                limits=Limits(time_ns=int(seconds * 1e9), memory_bytes=memory << 20, states=states),
                jobs=jobs,
                backend=backend,
            )
        if html is not None:
            from comity.checkers.report.html import write_page

            write_page(html, str(file), reading.history, analysis)
        if svg is not None:
            from comity.checkers.report.picture import picture

            svg.write_text(picture(reading.history, analysis, semantics=semantics), encoding="utf-8")
    except CheckerError as error:
        return _refuse(file, str(error), as_json)
    except OSError as error:
        return _refuse(file, f"{file}: {error.strerror}", as_json)
    if as_json:
        typer.echo(json.dumps({"file": str(file), "format": reading.format, **analysis.to_json()}))
    else:
        from comity.checkers.report.terminal import show

        show(Console(highlight=False, soft_wrap=True), str(file), reading, analysis, html)
        if svg is not None:
            typer.echo(f"the picture: {svg}")
    return _status(analysis)


def _status(analysis: Analysis) -> int:
    return analysis.exit_status


def _semantics(reading: Reading, options: dict[str, str | None]) -> Any:
    import msgspec

    from comity.checkers import UnsuitableHistory
    from comity.checkers.history import freeze

    changes: dict[str, Any] = {}
    given = options["initial"]
    if given is not None:
        try:
            changes["initial"] = freeze(json.loads(given))
        except ValueError:
            changes["initial"] = None if given == "nil" else given
    for name, allowed in (
        ("nil_read", ("initial", "wildcard")),
        ("failed_cas", ("compare-failed", "did-not-happen")),
    ):
        value = options[name]
        if value is not None:
            if value not in allowed:
                flag = name.replace("_", "-")
                raise UnsuitableHistory(f"--{flag} is {' or '.join(allowed)}, not {value!r}")
            changes[name] = value
    return msgspec.structs.replace(reading.semantics, **changes)


@contextmanager
def _reading(file: Path, wanted: bool) -> Iterator[Callable[[int], None] | None]:
    """A progress bar over the bytes of a file, where somebody is looking."""
    console = Console(stderr=True)
    size = os.path.getsize(file) if str(file) != "-" and file.exists() else 0
    if not wanted or not console.is_terminal or size < 1 << 20:
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=size)
        yield lambda read: bar.update(task, completed=read)


@contextmanager
def _checking(wanted: bool) -> Iterator[None]:
    console = Console(stderr=True)
    if not wanted or not console.is_terminal:
        yield
        return
    with console.status("checking"):
        yield


def _refuse(file: Path, reason: str, as_json: bool) -> int:
    if as_json:
        typer.echo(json.dumps({"file": str(file), "status": "unusable", "error": reason}))
    else:
        typer.echo(f"comity check: {reason}", err=True)
    return UNUSABLE_INPUT
