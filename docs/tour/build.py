"""Make the tour: its pictures and the generated parts of its page, from the histories beside this file.

    python docs/tour/build.py            # what `make docs` runs
    python docs/tour/build.py --check    # exit 1 and say what is out of date

The page is written by hand but for what lies between its markers. A picture has the title of the section
its marker is in. The output shown is that of `comity check` without the time it took.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from comity.checkers import Analysis, Reading, Verdict, analyse, open_history
from comity.checkers.report.picture import picture
from comity.console.main import main as comity

ROOT = Path(__file__).resolve().parents[2]
HISTORIES = Path("docs/tour")
PICTURES = Path("docs/images/tour")
PAGE = Path("docs/tutorial/tour-in-ten-histories.md")

ABOUT = {"05-answer-before-question": "causal"}
"""Which violated model a picture is about, where it is not the weakest."""

TABLE = "all of them"
BLOCK = re.compile(
    r"(?P<begin><!-- make docs: (?P<name>[^>]+?) -->\n).*?(?P<end><!-- end of what make docs made -->\n)",
    re.DOTALL,
)
HEADING = re.compile(r"^## (?P<title>.+)$", re.MULTILINE)
TIME = re.compile(r", checked in [\d.]+ s\b")


def made() -> dict[Path, str]:
    """Everything the build makes, by its path in the repository. Raises ValueError for a page and
    histories that do not belong together."""
    with contextlib.chdir(ROOT):
        text = PAGE.read_text(encoding="utf-8")
        names = sorted(path.stem for path in HISTORIES.glob("*.jsonl"))
        marked = [match["name"] for match in BLOCK.finditer(text)]
        if sorted(marked) != sorted([*names, TABLE]):
            raise ValueError(f"{PAGE} has markers for {marked}, there are histories {names}")
        files: dict[Path, str] = {}
        rows = []
        blocks = {}
        for match in BLOCK.finditer(text):
            name = match["name"]
            if name == TABLE:
                continue
            title = HEADING.findall(text, 0, match.start())[-1]
            reading, analysis = judged(name)
            files[PICTURES / f"{name}.svg"] = picture(
                reading.history,
                analysis,
                verdict=about(name, analysis),
                title=title,
                semantics=reading.semantics,
            )
            blocks[name] = block(name, title)
            rows.append(row(title, analysis))
        blocks[TABLE] = "\n".join(["", *HEAD, *rows, "", ""])
        files[PAGE] = BLOCK.sub(lambda match: match["begin"] + blocks[match["name"]] + match["end"], text)
        return files


def judged(name: str) -> tuple[Reading, Analysis]:
    """A history, and every model asked of it."""
    reading = open_history(str(HISTORIES / f"{name}.jsonl"))
    assert reading.data_type is not None
    return reading, analyse(reading.history, reading.data_type, semantics=reading.semantics)


def about(name: str, analysis: Analysis) -> Verdict | None:
    """The verdict that the picture shows; None for the one it would choose itself."""
    model = ABOUT.get(name)
    return next((verdict for verdict in analysis.verdicts if verdict.model == model), None)


HEAD = ("| history | strongest models that hold | found |", "|---|---|---|")


def row(title: str, analysis: Analysis) -> str:
    """A history's line in the table of all."""
    holds = ", ".join(f"`{model}`" for model in analysis.strongest)
    anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
    return f"| [{title}](#{anchor}) | {holds} | {', '.join(analysis.anomalies) or 'nothing'} |"


def block(name: str, title: str) -> str:
    """The picture, and the command with what it prints."""
    history = HISTORIES / f"{name}.jsonl"
    status, output = run("check", str(history))
    verdict = next(line for line in reversed(output) if line.startswith(("valid:", "violation:", "unknown:")))
    there = os.path.relpath(PICTURES / f"{name}.svg", PAGE.parent)
    return "\n".join(
        [
            "",
            f"![{title}]({there})",
            "",
            f"<details><summary><code>comity check {history}</code> → {verdict}</summary>",
            "",
            "```console",
            f"$ comity check {history}",
            *output,
            "$ echo $?",
            str(status),
            "```",
            "",
            "</details>",
            "",
            "",
        ]
    )


def run(*arguments: str) -> tuple[int, list[str]]:
    """The exit status of a command, and the lines it prints, as to a file and without times."""
    printed = io.StringIO()
    status = 0
    with plain_terminal(), contextlib.redirect_stdout(printed):
        try:
            comity(arguments)
        except SystemExit as ended:
            status = int(ended.code or 0)
    return status, [line.rstrip() for line in TIME.sub("", printed.getvalue()).splitlines()]


@contextlib.contextmanager
def plain_terminal() -> Iterator[None]:
    """No colours and 80 columns, whatever the environment asks for."""
    before = dict(os.environ)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "CLICOLOR_FORCE"):
        os.environ.pop(name, None)
    os.environ.update(NO_COLOR="1", COLUMNS="80")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def stale(files: dict[Path, str]) -> list[Path]:
    """What is not as the build makes it, and pictures of histories that are gone."""
    there = {path.relative_to(ROOT) for path in (ROOT / PICTURES).glob("*.svg")}
    changed = [
        path
        for path, text in files.items()
        if not (ROOT / path).is_file() or (ROOT / path).read_text(encoding="utf-8") != text
    ]
    return [*changed, *sorted(there - files.keys())]


def main(arguments: list[str]) -> int:
    """Write what is out of date, or only say so."""
    files = made()
    paths = stale(files)
    if arguments == ["--check"]:
        for path in paths:
            print(f"{path} is out of date: run make docs")
        return 1 if paths else 0
    for path in paths:
        if path in files:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(files[path], encoding="utf-8")
        else:
            (ROOT / path).unlink()
        print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
