"""`comity chaos`: real processes, real faults, stock clients, and a verdict."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from comity.checkers.history import Outcome
from comity.checkers.verdict import Status
from comity.console.chaos.cluster import Cluster, NotConverged
from comity.console.chaos.dial import Dial
from comity.console.chaos.faults import FAMILIES, FaultEvent, Nemesis
from comity.console.chaos.judgement import Evidence, Judgement, judge
from comity.console.chaos.levels import Levels
from comity.console.chaos.network import CannotCutLinks, Loopback, Namespaces, Network
from comity.console.chaos.processes import ProcessFailed
from comity.console.chaos.trial import Trial

CANNOT_RUN = 2
SHOWN_PROBLEMS = 10
CALM_S = 3.0
"""Clients go on this long after the last fault is healed: the cluster must serve again."""


def chaos(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long faults go on.")] = 5.0,
    nodes: Annotated[int, typer.Option(min=1, max=9, help="Nodes of the cluster.")] = 3,
    cut_links: Annotated[
        bool, typer.Option(help="Also cut links between nodes (Linux, root, ip and iptables).")
    ] = False,
    clients: Annotated[int, typer.Option(min=1, help="Concurrent stock redis-py clients.")] = 10,
    rate: Annotated[float, typer.Option(min=1, help="Operations a second of all clients, at most.")] = 300.0,
    seed: Annotated[int | None, typer.Option(help="Draws faults and operations; random by default.")] = None,
    faults: Annotated[
        str, typer.Option(help=f"Families to draw from: {', '.join(FAMILIES)}.", metavar="LIST")
    ] = "",
    all_keyspaces: Annotated[
        bool, typer.Option("--all-keyspaces", help="Also a keyspace of every kind, each at its level.")
    ] = False,
    engine: Annotated[str, typer.Option(help="State engine of the nodes: rocksdb or memory.")] = "rocksdb",
    keep: Annotated[
        bool, typer.Option(help="Keep the nodes' data and logs; on a violation they are.")
    ] = False,
    history: Annotated[Path, typer.Option(help="Where the history is written.")] = Path(
        "results/chaos-history.jsonl"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Break a real cluster for a while, and prove that it kept its promises.

    Stock redis-py clients work on any node while nodes are killed with -9, stopped, restarted and, with
    --cut-links, cut off from each other. Then everything is healed, every key is read, the history is
    checked for linearizability, every acknowledged write is accounted for and the replicas' state is
    compared. Exit status 0: all held; 1: a violation; 2: could not run; 3: unknown.
    """
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    families = _families(faults, cut_links, nodes)
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    history.parent.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _interrupt)
    network: Network | None = None
    try:
        network = Namespaces(range(1, nodes + 1)) if cut_links else Loopback(range(1, nodes + 1))
        with Cluster(nodes, network=network, engine=engine) as cluster:
            cluster.keep = keep
            run = _Run(cluster, families, seed, clients, rate, history, console, all_keyspaces)
            judgement = run.go(minutes * 60)
            cluster.keep = keep or judgement.status is not Status.VALID
            if as_json:
                typer.echo(json.dumps(run.to_json(judgement), indent=2))
            else:
                run.show(judgement)
    except CannotCutLinks as error:
        _fail(str(error))
    except (ProcessFailed, NotConverged) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted; everything that was started has been stopped", 130)
    finally:
        if network is not None:
            network.close()
    raise typer.Exit(judgement.exit_status)


def _families(faults: str, cut_links: bool, nodes: int) -> list[str]:
    wanted = [name.strip() for name in faults.split(",") if name.strip()]
    for name in wanted:
        if name not in FAMILIES:
            raise typer.BadParameter(f"no faults are called {name!r}: choose from {', '.join(FAMILIES)}")
    if "cut" in wanted and not cut_links:
        raise typer.BadParameter("the faults 'cut' need --cut-links")
    if cut_links and nodes < 2:
        raise typer.BadParameter("one node has no links to cut")
    return wanted or [name for name in FAMILIES if cut_links or name != "cut"]


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _fail(reason: str, code: int = CANNOT_RUN) -> NoReturn:
    typer.echo(f"comity chaos: {reason}", err=True)
    raise typer.Exit(code)


class _Run:
    """One run of the command, and how it is shown."""

    def __init__(
        self,
        cluster: Cluster,
        families: list[str],
        seed: int,
        clients: int,
        rate: float,
        history_file: Path,
        console: Console,
        all_keyspaces: bool = False,
    ) -> None:
        self.all_keyspaces = all_keyspaces
        self.cluster = cluster
        self.families = families
        self.seed = seed
        self.clients = clients
        self.rate = rate
        self.history_file = history_file
        self.console = console
        self.events: list[FaultEvent] = []
        self.level_files: dict[str, Path] = {}
        self.counts: Counter[Outcome] = Counter()

    def go(self, seconds: float) -> Judgement:
        """Run it all; the verdict."""
        cluster, console = self.cluster, self.console
        cluster.start()
        console.print(
            f"{len(cluster.nodes)} nodes, {self.clients} clients, faults: {', '.join(self.families)}, "
            f"seed {self.seed}"
        )
        addresses = [(node.endpoint.host, node.endpoint.redis_port) for node in cluster.nodes]
        with (
            Trial(
                addresses,
                clients=self.clients,
                rate=self.rate,
                seed=self.seed,
                history_file=self.history_file,
            ) as trial,
            self._progress() as progress,
        ):
            levels = Levels(addresses, self.seed)
            dial = Dial(addresses, self.seed) if self.all_keyspaces else None
            if dial is not None:
                dial.create()
            nemesis = Nemesis(cluster, self.families, self.seed, self._noting(trial))
            self.events = nemesis.events
            task = progress.add_task("chaos", total=seconds, status="")
            trial.start()
            levels.start()
            if dial is not None:
                dial.start()
            nemesis.start()
            began = time.monotonic()
            while (passed := time.monotonic() - began) < seconds and nemesis.is_alive():
                progress.update(task, completed=passed, status=self._status(trial))
                time.sleep(0.1)
            progress.update(task, completed=seconds, status="healing")
            nemesis.finish()
            missed = list(nemesis.recoveries_missed)
            if nemesis.error is not None:
                raise nemesis.error
            missed += self._settle()
            time.sleep(CALM_S)
            trial.finish()
            levels.finish()
            self.level_files = levels.save(self.history_file)
            losses: dict[str, str] = {}
            if dial is not None:
                dial.finish()
                self.level_files |= dial.save(self.history_file)
                progress.add_task("comparing keyspaces", total=None, status="")
                too_much, losses = dial.losses()
                missed += [*dial.apart(cluster), *too_much]
            missed += self._find_out(trial, progress)
            digests, apart = self._digests(progress)
            progress.add_task("checking linearizability", total=None, status="")
            self.counts = trial.counts
            evidence = Evidence(
                trial.history(),
                trial.final,
                digests,
                trial.unexpected(),
                nemesis.crashes,
                [*missed, *apart],
                [(event.began_ns, event.healed_ns) for event in self.events],
                levels.histories(),
                dial.histories() if dial is not None else {},
                losses,
            )
            return judge(evidence)

    def _progress(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        return Progress(*columns, TextColumn("{task.fields[status]}"), console=self.console, transient=True)

    def _noting(self, trial: Trial) -> Callable[[FaultEvent], None]:
        def note(event: FaultEvent) -> None:
            trial.note("heal" if event.healed_ns else event.kind, event.detail)

        return note

    def _status(self, trial: Trial) -> str:
        last = self.events[-1] if self.events else None
        doing = f"{last.kind} ({last.detail})" if last is not None and not last.healed_ns else "no fault"
        ok, fail, info = (trial.counts[outcome] for outcome in (Outcome.OK, Outcome.FAIL, Outcome.INFO))
        return f"{ok:,} ok, {fail:,} refused, {info:,} unknown; {len(self.events)} faults; {doing}"

    def _settle(self) -> list[str]:
        try:
            self.cluster.wait_ready(60)
        except (NotConverged, ProcessFailed) as late:
            return [f"the cluster did not become whole after the last fault: {late}"]
        return []

    def _find_out(self, trial: Trial, progress: Progress) -> list[str]:
        task = progress.add_task("reading every key", total=None, status="")
        try:
            trial.read_everything(lambda done, total: progress.update(task, completed=done, total=total))
        except NotConverged as silent:
            return [str(silent)]
        return []

    def _digests(self, progress: Progress) -> tuple[dict[int, tuple[int, str]], list[str]]:
        progress.add_task("comparing replicas", total=None, status="")
        try:
            return self.cluster.digests(), []
        except NotConverged as apart:
            return {}, [str(apart)]

    # -- what was found

    def to_json(self, judgement: Judgement) -> dict[str, object]:
        """The result as plain values."""
        return judgement.to_json() | {
            "seed": self.seed,
            "operations": {outcome.value: self.counts[outcome] for outcome in Outcome},
            "faults": dict(Counter(event.kind for event in self.events)),
            "history": str(self.history_file),
            "histories": {level: str(path) for level, path in self.level_files.items()},
            "kept": str(self.cluster.directory) if self.cluster.keep else None,
        }

    def show(self, judgement: Judgement) -> None:
        """The result for people."""
        console = self.console

        def say(what: str, found: str) -> None:
            console.print(f"{what:24}{found}", markup=False)

        account, report = judgement.account, judgement.report
        ok, fail, info = (self.counts[outcome] for outcome in (Outcome.OK, Outcome.FAIL, Outcome.INFO))
        say("operations", f"{ok:,} acknowledged, {fail:,} refused, {info:,} of unknown outcome")
        kinds = Counter(event.kind for event in self.events)
        say("faults", ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())) or "none")
        say(
            "longest without a write", f"{judgement.silence_ns / 1e9:.2f} s, faults without a quorum included"
        )
        say(
            "slowest recovery",
            f"{judgement.recovery_ns / 1e9:.2f} s from the end of a fault to the next write",
        )
        lost = f"{len(account.problems)} not accounted for" if account.problems else "all accounted for"
        say("acknowledged writes", f"{account.acknowledged:,}, {lost}")
        say(
            "linearizable",
            f"{report.status.value}: {report.operations:,} operations on {report.keys:,} keys, "
            f"checked in {report.seconds:.1f} s",
        )
        for level, analysis in judgement.levels.items():
            told = ", ".join(f"{model} {status.value}" for model, status in analysis.models.items())
            say(f"level {level}", f"{analysis.operations:,} operations: {told}")
        for name, analysis in judgement.keyspaces.items():
            told = ", ".join(f"{model} {status.value}" for model, status in analysis.models.items())
            say(name, f"{analysis.operations:,} operations: {told}")
        for name, loss in judgement.losses.items():
            say(name, loss)
        say("replicas", _digest_line(judgement))
        say("history", str(self.history_file))
        if self.cluster.keep:
            say("data and logs kept", str(self.cluster.directory))
        for problem in judgement.problems[:SHOWN_PROBLEMS]:
            console.print(f"\n[red]✗[/red] {_escaped(problem)}")
        if len(judgement.problems) > SHOWN_PROBLEMS:
            console.print(
                f"\n... and {len(judgement.problems) - SHOWN_PROBLEMS:,} more; --json shows them all"
            )
        if judgement.status is Status.UNKNOWN:
            console.print(f"\nunknown: {_escaped(report.explanation)}")
        words = {
            Status.VALID: "[green]valid[/green]: every promise was kept",
            Status.VIOLATION: f"[red]violation[/red] (run again with --seed {self.seed})",
            Status.UNKNOWN: "[yellow]unknown[/yellow]",
        }
        console.print(f"\n{words[judgement.status]}")


def _digest_line(judgement: Judgement) -> str:
    if not judgement.digests:
        return "not compared"
    digests = {digest for _, digest in judgement.digests.values()}
    index = next(iter(judgement.digests.values()))[0]
    if len(digests) == 1:
        return f"{len(judgement.digests)} equal at index {index:,}, digest {next(iter(digests))[:16]}"
    return f"they DIFFER at index {index:,}"


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")
