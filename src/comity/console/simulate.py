"""`comity simulate`: clusters in virtual time, under every fault there is, judged."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from comity.simulator.campaign import Hunt, Plan, Summary
    from comity.simulator.cluster import Result
    from comity.simulator.recording import Recording
    from comity.simulator.settings import Case

VIOLATED = 1
UNUSABLE_INPUT = 2
MUTANT_SEEDS = 300
SHRINK_RUNS = 400
SHRINK_SECONDS = 120
SHRUNK_FAILURES = 3
TABLE_WIDTH = 220


def simulate(
    protocol: Annotated[
        str, typer.Option(help="The kind of keyspace: a replication protocol, or primary-backup-async.")
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Every kind of keyspace, one after another.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, help="How many cases.")] = 100,
    nodes: Annotated[int, typer.Option(min=1, max=15, help="Of each cluster.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.5, help="Virtual seconds with faults, per seed.")] = 8.0,
    start_seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    rate: Annotated[int, typer.Option(min=1, help="Client operations per virtual second.")] = 50,
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0 for one per core.")] = 0,
    backend: Annotated[str, typer.Option(help="Where they run: loky (here), dask, ray.")] = "loky",
    mutants: Annotated[bool, typer.Option("--mutants", help="Is every deliberate bug caught?")] = False,
    mutant: Annotated[str, typer.Option(help="Put this deliberate bug into every case.")] = "",
    seed: Annotated[int | None, typer.Option(min=0, help="Run this one seed, and tell all.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Run a saved case.")] = None,
    diagram: Annotated[
        Path | None, typer.Option(help="Draw a space-time diagram (SVG); with --seed or --replay.")
    ] = None,
    window: Annotated[
        str, typer.Option(help="Which milliseconds to draw, as FROM:TO; chosen for you otherwise.")
    ] = "",
    title: Annotated[str, typer.Option(help="Of the diagram.")] = "",
    history: Annotated[
        Path | None,
        typer.Option(help="Save what the clients saw, for comity check; with --seed or --replay."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where failing cases go.")] = Path("results/simulation"),
    no_shrink: Annotated[bool, typer.Option("--no-shrink", help="Save failing cases as they are.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Run whole clusters in virtual time under faults; find failures and shrink them.

    Exit status 0: every promise was kept; 1: one was broken, or a mutant survived; 2: usage.
    """
    command = _Command(protocol or "raft", start_seed, jobs, backend, out, not no_shrink, as_json)
    command.validate(mutant)
    if everything and (protocol or mutant or seed is not None or replay is not None):
        command.refuse(
            "--all runs every kind of keyspace; it goes with none of --protocol, --mutant, --seed, --replay"
        )
    one = seed is not None or replay is not None
    if diagram is not None and not one:
        command.refuse("--diagram draws one simulation: say which with --seed or --replay")
    if history is not None and not one:
        command.refuse("--history saves one simulation: say which with --seed or --replay")
    if seed is not None and replay is not None:
        command.refuse("--seed and --replay are two different simulations")
    if mutants:
        if one or mutant:
            command.refuse("--mutants runs them all; it goes with neither --seed, --replay nor --mutant")
        command.hunt(protocol)
    if everything:
        command.every(nodes, int(seconds * 1000), rate, seeds)
    plan = command.plan(nodes, int(seconds * 1000), rate, mutant)
    if seed is not None:
        command.one(plan.case(seed), diagram, window, title, history)
    elif replay is not None:
        command.one(command.read(replay), diagram, window, title, history, replayed=replay)
    else:
        command.campaign(plan, seeds)


class _Command:
    """One call of `comity simulate`. Every method that ends it raises `typer.Exit`."""

    def __init__(
        self, protocol: str, start_seed: int, jobs: int, backend: str, out: Path, shrinks: bool, as_json: bool
    ) -> None:
        from comity.simulator import campaign

        self.protocol = protocol
        self.start_seed = start_seed
        self.jobs = jobs or campaign.cores()
        self.backend = backend
        self.out = out
        self.shrinks = shrinks
        self.as_json = as_json
        self.console = Console(highlight=False, markup=False, soft_wrap=True)
        self.progress_console = Console(stderr=True, highlight=False)

    def refuse(self, reason: str) -> NoReturn:
        if self.as_json:
            typer.echo(json.dumps({"status": "unusable", "reason": reason}))
        else:
            typer.echo(f"comity simulate: {reason}", err=True)
        raise typer.Exit(UNUSABLE_INPUT)

    def validate(self, mutant: str) -> None:
        from comity.protocols import load
        from comity.simulator.campaign import BACKENDS
        from comity.simulator.mutants import mutant_named
        from comity.simulator.trials import TRIALS, VARIANTS

        known = {*load(), *TRIALS, *VARIANTS}
        if self.protocol not in known:
            self.refuse(f"there is no protocol {self.protocol!r}; there are {', '.join(sorted(known))}")
        if self.backend not in BACKENDS:
            self.refuse(f"there is no backend {self.backend!r}; there are {', '.join(BACKENDS)}")
        if mutant:
            try:
                mutant_named(mutant)
            except KeyError as error:
                self.refuse(str(error.args[0]))

    def plan(self, nodes: int, duration_ms: int, rate: int, mutant: str) -> Plan:
        from comity.simulator.campaign import Plan

        return Plan(
            protocol=self.protocol, nodes=nodes, duration_ms=duration_ms, per_second=rate, mutant=mutant
        )

    def read(self, path: Path) -> Case:
        import msgspec

        from comity.simulator.settings import decode_case

        try:
            case = decode_case(path.read_bytes())
        except OSError as error:
            self.refuse(f"{path}: {error.strerror}")
        except msgspec.DecodeError as error:
            self.refuse(f"{path} is no saved case: {error}")
        self.protocol = case.protocol
        self.validate(case.mutant)
        return case

    # -- one simulation

    def one(
        self,
        case: Case,
        diagram: Path | None,
        window: str,
        title: str,
        history: Path | None = None,
        replayed: Path | None = None,
    ) -> NoReturn:
        """Run a case, tell everything, draw it where asked."""
        from comity.simulator.diagram import draw
        from comity.simulator.recording import record

        span = self.window(window)
        before = time.perf_counter_ns()
        recording = record(case)
        wall_ns = time.perf_counter_ns() - before
        result = recording.result
        if diagram is not None:
            diagram.parent.mkdir(parents=True, exist_ok=True)
            diagram.write_text(draw(recording, span, title))
        saved: dict[str, str] = {}
        if result.violation is not None and replayed is None:
            saved = self.save(case)
        if history is not None:
            saved |= {f"history of {level}": str(file) for level, file in _save(recording, history).items()}
        if self.as_json:
            import msgspec

            typer.echo(json.dumps({**msgspec.to_builtins(result), **saved}, indent=2))
        else:
            self.tell(case, result, wall_ns)
            if diagram is not None:
                self.console.print(f"diagram: {diagram}")
            self.point_at(saved)
        raise typer.Exit(VIOLATED if result.violation is not None else 0)

    def window(self, words: str) -> Any:
        from comity.simulator.diagram import Window

        if not words:
            return None
        try:
            start, end = (float(word) for word in words.split(":"))
            return Window(start, end)
        except ValueError as error:
            self.refuse(f"--window is FROM:TO in milliseconds, not {words!r} ({error})")

    def tell(self, case: Case, result: Result, wall_ns: int) -> None:
        settings = case.settings
        bug = f", with the deliberate bug {case.mutant}" if case.mutant else ""
        self.console.print(f"{case.protocol}, seed {case.seed}, {case.nodes} nodes{bug}")
        self.console.print(
            f"  {len(case.operations)} operations of {len(case.clients)} clients, {len(case.faults)} faults, "
            f"loss {settings.loss:g}, duplicates {settings.duplicate:g}, reordered {settings.reorder:g}, "
            f"{'leases, ' if settings.lease else ''}{settings.groups} keyspace(s)"
        )
        self.console.print(
            f"  {result.simulated_ms / 1000:.1f} virtual seconds in {wall_ns / 1e9:.2f} s: "
            f"{result.events:,} events, {result.messages:,} frames, {result.elections} elections, "
            f"{result.restarts} restarts, {result.entries:,} entries applied"
        )
        self.console.print(f"  outcomes: {_counts(result.operations)}")
        self.console.print(f"  faults: {_counts(result.faults) or 'none'}")
        self.console.print(f"  trace hash: {result.trace_hash}")
        if result.violation is None:
            self.console.print("every promise was kept")
        else:
            violation = result.violation
            where = f" at node {violation.node}" if violation.node else ""
            self.console.print(f"VIOLATION of {violation.kind}{where} after {violation.time_ms} ms")
            self.console.print(violation.detail)

    # -- failures

    def save(self, case: Case) -> dict[str, str]:
        """Shrink, save and draw a failing case: {"case": file, "diagram": file, "replay": command}."""
        from comity.simulator.diagram import draw
        from comity.simulator.recording import record
        from comity.simulator.settings import encode_case

        small = self.shrunk(case) if self.shrinks else case
        name = f"{case.mutant or case.protocol}-seed-{case.seed}"
        self.out.mkdir(parents=True, exist_ok=True)
        file, picture = self.out / f"{name}.json", self.out / f"{name}.svg"
        file.write_bytes(encode_case(small))
        recording = record(small)
        picture.write_text(draw(recording))
        histories = _save(recording, self.out / f"{name}.jsonl")
        return {
            "case": str(file),
            "diagram": str(picture),
            **{f"history of {level}": str(path) for level, path in histories.items()},
            "replay": f"comity simulate --replay {shlex.quote(str(file))}",
        }

    def shrunk(self, case: Case) -> Case:
        from rich.progress import BarColumn, Progress, TextColumn

        from comity.simulator.shrink import shrink

        deadline = time.monotonic() + SHRINK_SECONDS
        with Progress(
            TextColumn("shrinking"),
            BarColumn(),
            TextColumn("{task.completed} runs: {task.description}"),
            console=self.progress_console,
            transient=True,
            disable=self.as_json,
        ) as bar:
            task = bar.add_task("", total=SHRINK_RUNS)

            def progress(runs: int, best: Case) -> None:
                bar.update(task, completed=runs, description=_size(best))

            result = shrink(
                case, runs=SHRINK_RUNS, expired=lambda: time.monotonic() > deadline, progress=progress
            )
        if not self.as_json:
            rest = "" if result.complete else " (there was more to try)"
            self.console.print(
                f"seed {case.seed} shrunk in {result.runs} runs: {_size(case)} -> {_size(result.case)}{rest}"
            )
        return result.case

    def point_at(self, saved: dict[str, str]) -> None:
        for word, what in saved.items():
            self.console.print(f"  {word}: {what}")

    # -- many simulations

    def campaign(self, plan: Plan, seeds: int) -> NoReturn:
        """Every seed, then what they came to."""
        summary = self.run(plan, seeds)
        saved = {number: self.save(plan.case(number)) for number in list(summary.failures)[:SHRUNK_FAILURES]}
        if self.as_json:
            outcome = summary.to_json()
            for failure in outcome["failures"]:
                failure.update(saved.get(failure["seed"], {}))
            typer.echo(json.dumps(outcome, indent=2))
        else:
            self.report(plan, summary, saved)
        raise typer.Exit(VIOLATED if summary.failures else 0)

    def run(self, plan: Plan, seeds: int) -> Summary:
        """All seeds of a plan."""
        from comity.simulator.campaign import BackendMissing, Summary, campaign

        jobs = min(self.jobs, seeds)
        summary = Summary(cores=jobs)
        numbers = range(self.start_seed, self.start_seed + seeds)
        before = time.perf_counter_ns()
        try:
            with self.bar() as bar:
                task = bar.add_task(plan.protocol, total=seeds)
                for result, cpu_ns in campaign(plan, numbers, jobs=jobs, backend=self.backend):
                    summary.add(result, cpu_ns)
                    summary.wall_ns = time.perf_counter_ns() - before
                    bar.update(task, advance=1, description=f"{plan.protocol}: {_running(summary)}")
        except BackendMissing as error:
            self.refuse(str(error))
        return summary

    def every(self, nodes: int, duration_ms: int, rate: int, seeds: int) -> NoReturn:
        """Every kind of keyspace, and one table of what they came to."""
        from comity.simulator.trials import TRIALS

        table = Table()
        for heading in ("keyspace", "level", "seeds passed", "faults", "operations", "speed"):
            table.add_column(heading, no_wrap=True)
        outcomes: dict[str, Any] = {}
        failed = 0
        for trial in TRIALS.values():
            self.protocol = trial.name
            plan = self.plan(nodes, duration_ms, rate, "")
            summary = self.run(plan, seeds)
            failed += len(summary.failures)
            outcomes[trial.name] = {"level": trial.level, **summary.to_json()}
            for number in list(summary.failures)[:SHRUNK_FAILURES]:
                violation = summary.failures[number]
                saved = self.save(plan.case(number))
                if not self.as_json:
                    self.console.print(f"\n{trial.name}: VIOLATION of {violation.kind}, seed {number}")
                    self.console.print(violation.detail)
                    self.point_at(saved)
            table.add_row(
                trial.name,
                trial.level,
                f"{summary.passed:,} of {summary.seeds:,}",
                f"{sum(summary.faults.values()):,}",
                f"{sum(summary.operations.values()):,}",
                f"{summary.speed:.0f}/s and core",
            )
        if self.as_json:
            typer.echo(json.dumps(outcomes, indent=2))
        else:
            width = None if self.console.is_terminal else TABLE_WIDTH
            Console(highlight=False, markup=False, width=width).print(table)
            self.console.print(
                f"{failed} seeds broke a promise" if failed else "no violation, and every seed recovered"
            )
        raise typer.Exit(VIOLATED if failed else 0)

    def bar(self) -> Any:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        return Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=self.progress_console,
            transient=True,
            disable=self.as_json,
        )

    def report(self, plan: Plan, summary: Summary, saved: dict[int, dict[str, str]]) -> None:
        for number, violation in summary.failures.items():
            self.console.print(f"\nVIOLATION of {violation.kind}, seed {number}, {violation.time_ms} ms")
            self.console.print(violation.detail)
            self.point_at(saved.get(number, {"run": f"comity simulate {_options(plan, number)}"}))
        rows = [
            ("seeds passed", f"{summary.passed:,} of {summary.seeds:,}"),
            ("virtual time", f"{summary.simulated_ms / 1000:,.0f} s in {summary.wall_ns / 1e9:,.1f} s"),
            (
                "speed",
                f"{summary.speed:.1f} virtual seconds per second and core ({summary.cores} cores; "
                f"{summary.simulated_ms * 1e6 / max(1, summary.cpu_ns):.1f} per CPU second)",
            ),
            ("operations", _counts(summary.operations)),
            ("faults", _counts(summary.faults) or "none"),
            ("elections", f"{summary.elections:,}"),
            ("entries applied", f"{summary.entries:,}"),
            ("frames", f"{summary.messages:,}"),
            ("restarts", f"{summary.restarts:,}"),
            ("damaged logs refused", f"{summary.refused_logs:,}"),
            ("keys left unknown", f"{summary.unknown_keys:,}"),
        ]
        self.console.print("")
        for name, value in rows:
            self.console.print(f"{name:22}{value}")
        if summary.failures:
            self.console.print(f"\n{len(summary.failures)} of {summary.seeds:,} seeds broke a promise")
        else:
            self.console.print("\nno violation, and every seed recovered")

    # -- mutants

    def hunt(self, protocol: str) -> NoReturn:
        """Every mutant (of one protocol, or "" for all) until it is caught, and its world without it."""
        from comity.simulator.campaign import BackendMissing, hunts
        from comity.simulator.mutants import MUTANTS

        mutants = [mutant for mutant in MUTANTS if protocol in ("", mutant.protocol)]
        found: dict[str, Hunt] = {}
        before = time.perf_counter()
        try:
            with self.bar() as bar:
                task = bar.add_task("", total=len(mutants))
                for hunted in hunts(
                    [mutant.name for mutant in mutants],
                    jobs=self.jobs,
                    backend=self.backend,
                    first=self.start_seed,
                    seeds=MUTANT_SEEDS,
                ):
                    found[hunted.mutant] = hunted
                    bar.update(task, advance=1, description=_word(hunted))
        except BackendMissing as error:
            self.refuse(str(error))
        hunted_all = [found[mutant.name] for mutant in mutants]
        survivors = [hunted.mutant for hunted in hunted_all if hunted.seed is None]
        unsound = [hunted.mutant for hunted in hunted_all if hunted.healthy]
        if self.as_json:
            import msgspec

            typer.echo(
                json.dumps(
                    {
                        "mutants": msgspec.to_builtins(hunted_all),
                        "survived": survivors,
                        "failing_without_the_bug": unsound,
                        "seconds": round(time.perf_counter() - before, 1),
                    },
                    indent=2,
                )
            )
        else:
            self.table(hunted_all)
            caught = len(hunted_all) - len(survivors)
            self.console.print(
                f"{caught} of {len(hunted_all)} mutants caught, in {time.perf_counter() - before:.0f} s"
            )
            for hunted in hunted_all:
                for number, violation in hunted.healthy.items():
                    self.console.print(
                        f"without its bug, the world of {hunted.mutant} fails at seed {number}: "
                        f"{violation.kind}: {violation.detail}"
                    )
        raise typer.Exit(VIOLATED if survivors or unsound else 0)

    def table(self, hunted_all: Iterable[Hunt]) -> None:
        from comity.simulator.mutants import mutant_named

        table = Table(show_lines=False)
        table.add_column("mutant", no_wrap=True)
        for heading in ("what is wrong", "the rule it breaks"):
            table.add_column(heading, overflow="fold")
        table.add_column("caught by", no_wrap=True)
        for hunted in hunted_all:
            mutant = mutant_named(hunted.mutant)
            table.add_row(mutant.name, mutant.wrong, mutant.rule, _word(hunted, short=True))
        # In a file or a pipe there is room for one line a mutant.
        width = None if self.console.is_terminal else TABLE_WIDTH
        Console(highlight=False, markup=False, width=width).print(table)


def _save(recording: Recording, path: Path) -> dict[str, Path]:
    """Write what the clients saw, a file a level: level -> file."""
    from comity.checkers import write_history

    path.parent.mkdir(parents=True, exist_ok=True)
    files = {"linearizable clients": path}
    write_history(recording.history, path)
    for level, history in recording.levels.items():
        files[f"{level} clients"] = path.with_name(f"{path.stem}-{level}{path.suffix}")
        write_history(history, files[f"{level} clients"])
    return files


def _word(hunted: Hunt, short: bool = False) -> str:
    name = "" if short else f"{hunted.mutant}: "
    if hunted.violation is None:
        return f"{name}SURVIVED {hunted.seeds} seeds"
    return f"{name}{hunted.violation.kind}, seed {hunted.seed}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))


def _running(summary: Summary) -> str:
    failed = f"{len(summary.failures)} violations, " if summary.failures else ""
    return f"{failed}{summary.speed:.0f} virtual seconds per second and core"


def _size(case: Case) -> str:
    return (
        f"{len(case.faults)} faults, {len(case.operations)} operations, {len(case.clients)} clients, "
        f"{case.nodes} nodes, {case.duration_ms} ms"
    )


def _options(plan: Plan, seed: int) -> str:
    words = ["--protocol", plan.protocol, "--nodes", str(plan.nodes), "--seed", str(seed)]
    words += ["--seconds", f"{plan.duration_ms / 1000:g}", "--rate", str(plan.per_second)]
    if plan.mutant:
        words += ["--mutant", plan.mutant]
    return " ".join(words)
