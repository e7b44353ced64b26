"""`comity measure`: what `comity explain` claims, proved in simulation over a topology."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from comity.replica.promises import Promise
    from comity.simulator.failover import Gap
    from comity.simulator.measure import Kind, Plan
    from comity.simulator.measured import Figures, Measured, Pair
    from comity.simulator.topologies import Topology

DISAGREED = 1
UNUSABLE_INPUT = 2
WIDTH = 160


def measure(
    keyspace: Annotated[str, typer.Argument(help="A keyspace of a running cluster.")] = "",
    node: Annotated[
        str, typer.Option(help="Redis addresses of some nodes of it; by default those of `comity up`.")
    ] = "",
    replication: Annotated[
        str, typer.Option(help="Measure a keyspace of this protocol instead; no cluster is asked.")
    ] = "",
    option: Annotated[
        list[str] | None, typer.Option(help="Of its protocol, name=value; may be given several times.")
    ] = None,
    level: Annotated[str, typer.Option(help="What it gives; the strongest if not given.")] = "",
    replicas: Annotated[
        int, typer.Option(min=0, max=15, help="One at a node; 0 for as many as the topology has nodes.")
    ] = 0,
    every: Annotated[bool, typer.Option("--all", help="Every kind of keyspace, in one chart.")] = False,
    gap: Annotated[
        bool, typer.Option("--gap", help="Kill any one node: the longest time without a write.")
    ] = False,
    topology: Annotated[
        str, typer.Option(help="lan, three-regions, five-regions, or a TOML or JSON file.")
    ] = "three-regions",
    seeds: Annotated[int, typer.Option(min=1, help="Simulations of each kind.")] = 3,
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0 for one per core.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures here.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw the chart here.")] = None,
) -> None:
    """Simulate a keyspace over a topology, with and without a partition, and show what was measured beside
    what `comity explain` claims.

    Exit status 0: they agree; 1: they do not, or an invariant broke; 2: usage.
    """
    command = _Command(jobs, json_file, svg)
    described = bool(keyspace) + bool(replication) + every
    if described > 1 or (not described and not gap):
        command.refuse("name a keyspace of a running cluster, or give --replication P, --all or --gap")
    if gap and keyspace:
        command.refuse("--gap goes with --replication or --all")
    where = command.topology(topology, replicas)
    if keyspace:
        kinds = [command.running(keyspace, node)]
    elif replication:
        kinds = [command.described(replication.lower(), option, level.lower(), len(where.nodes))]
    else:
        if option or level:
            command.refuse("--option and --level are of one keyspace; --all and --gap have their own")
        kinds = command.kinds()
    if gap:
        command.gaps(kinds, where, range(seeds))
    command.measure(kinds, where, range(seeds))


class _Command:
    """One call of `comity measure`. Every method that ends it raises `typer.Exit`."""

    def __init__(self, jobs: int, json_file: Path | None, svg: Path | None) -> None:
        from comity.simulator import campaign

        self.jobs = jobs or campaign.cores()
        self.json_file = json_file
        self.svg = svg
        self.console = Console(highlight=False, markup=False)
        if not self.console.is_terminal:
            self.console = Console(highlight=False, markup=False, width=WIDTH)
        self.progress_console = Console(stderr=True, highlight=False)

    def refuse(self, reason: str) -> NoReturn:
        typer.echo(f"comity measure: {reason}", err=True)
        raise typer.Exit(UNUSABLE_INPUT)

    # -- what and where

    def topology(self, name: str, replicas: int) -> Topology:
        from comity.simulator.topologies import TOPOLOGIES, TopologyError, named, parse

        path = Path(name)
        try:
            if name in TOPOLOGIES or path.suffix.lower() not in (".toml", ".json"):
                found = named(name)
            else:
                found = parse(path.read_bytes(), name, json=path.suffix.lower() == ".json")
            found = found.with_nodes(replicas) if replicas else found
            found.minorities()
        except OSError as error:
            self.refuse(f"{name}: {error.strerror}")
        except TopologyError as error:
            self.refuse(str(error))
        return found

    def running(self, keyspace: str, node: str) -> Kind:
        from comity.console.port import ask
        from comity.simulator.measure import Kind

        found = json.loads(str(ask("measure", node, "KEYSPACE", "INFO", keyspace)))
        return Kind(
            name=keyspace,
            replication=found["replication"],
            options=found.get("options", {}),
            level=found["level"],
        )

    def described(self, replication: str, options: list[str] | None, level: str, replicas: int) -> Kind:
        from comity.console.port import words_of
        from comity.keyspaces import choices
        from comity.protocols import load
        from comity.simulator.measure import Kind

        try:
            protocol = choices.find_protocol(load(), replication)
            checked = choices.checked_options(protocol, words_of(options))
            given = choices.chosen_level(protocol, checked, replicas, level or None)
        except ValueError as error:
            self.refuse(str(error))
        return Kind(name=replication, replication=replication, options=checked, level=given)

    def kinds(self) -> list[Kind]:
        from comity.simulator.measure import KINDS

        return list(KINDS.values())

    # -- latency, availability, staleness

    def measure(self, kinds: Sequence[Kind], topology: Topology, seeds: Sequence[int]) -> NoReturn:
        from comity.simulator.campaign_measures import Broken, measure_all, tasks_of
        from comity.simulator.charts import pacelc
        from comity.simulator.measure import Plan
        from comity.simulator.measured import agrees

        plans = [Plan(kind=kind, topology=topology) for kind in kinds]
        measured: list[Measured] = []
        try:
            with self.bar() as bar:
                task = bar.add_task("", total=tasks_of(plans, seeds))
                for each in measure_all(plans, seeds, jobs=self.jobs):
                    if each is None:
                        bar.update(task, advance=1)
                    else:
                        measured.append(each)
        except Broken as found:
            typer.echo(f"comity measure: {found}", err=True)
            raise typer.Exit(DISAGREED) from None
        promises = {}
        for plan in plans:
            promise = plan.kind.promise(plan.replicas)
            if promise is not None:
                promises[plan.kind.name] = promise
        disagreements = [
            line for each in measured if each.kind in promises for line in agrees(each, promises[each.kind])
        ]
        self.console.print(self.head(plans[0], seeds))
        self.console.print(
            "latencies: median / 99th percentile of what succeeded; RTT: round trips from there to a majority"
        )
        for each in measured:
            self.console.print(_table(each, promises.get(each.kind)))
        if len(measured) > 1:
            self.console.print(_summary(measured, promises))
        for line in disagreements:
            self.console.print(f"DISAGREES: {line}", style="red")
        if not disagreements:
            self.console.print("explain and measure agree")
        self.write(pacelc(measured, promises, topology.source), measured, disagreements)
        raise typer.Exit(DISAGREED if disagreements else 0)

    def head(self, plan: Plan, seeds: Sequence[int]) -> str:
        regions = ", ".join(f"{name} {len(plan.topology.nodes_in(name))}" for name in plan.topology.regions)
        longest_ms = plan.topology.longest_us() / 1000
        return (
            f"topology {plan.topology.name}: nodes in {regions}; longest round trip {longest_ms:g} ms; "
            f"seeds: {len(seeds)}; requests have {plan.deadline_ms} ms; cut off for "
            f"{plan.partition_ms / 1000:g} s, one minority after the other"
        )

    # -- failover

    def gaps(self, kinds: Sequence[Kind], topology: Topology, seeds: Sequence[int]) -> NoReturn:
        from comity.simulator.campaign_measures import gaps_all, hits_of
        from comity.simulator.charts import failover

        deadline_ms = 5_000
        gaps: list[Gap] = []
        with self.bar() as bar:
            task = bar.add_task("", total=hits_of(kinds, topology, seeds))
            for each in gaps_all(kinds, topology, seeds, deadline_ms=deadline_ms, jobs=self.jobs):
                if isinstance(each, list):
                    gaps = each
                else:
                    bar.update(task, advance=1)
        table = Table(title="longest time without an acknowledged write, any one node killed")
        for heading in ("keyspace", "killed", "worst", "median", "usual", "by who was killed"):
            table.add_column(heading, justify="left" if heading in ("keyspace", "killed") else "right")
        for gap in gaps:
            victims = ", ".join(f"{victim}: {longest:,.0f}" for victim, longest in gap.victims.items())
            table.add_row(
                gap.kind,
                gap.way,
                f"{gap.worst_ms:,.0f} ms",
                f"{gap.median_ms:,.0f} ms",
                f"{gap.usual_ms:,.0f} ms",
                victims,
            )
        self.console.print(table)
        self.write(failover(gaps, deadline_ms=deadline_ms, topology=topology.name), gaps, [])
        raise typer.Exit(0)

    # -- output

    def write(self, chart: str, figures: Sequence[Any], disagreements: Sequence[str]) -> None:
        import msgspec

        if self.json_file is not None:
            self.json_file.parent.mkdir(parents=True, exist_ok=True)
            words = {"figures": msgspec.to_builtins(figures), "disagreements": list(disagreements)}
            self.json_file.write_text(json.dumps(words, indent=1) + "\n")
            self.console.print(f"figures: {self.json_file}")
        if self.svg is not None:
            self.svg.parent.mkdir(parents=True, exist_ok=True)
            self.svg.write_text(chart)
            self.console.print(f"chart: {self.svg}")

    def bar(self) -> Any:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        return Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.progress_console,
            transient=True,
        )


def _table(each: Measured, promise: Promise | None) -> Table:
    """What was measured in every place, and what is promised for it."""
    from comity.simulator.measured import MAJORITY, MINORITY

    title = f"{each.kind}: {each.replication}, {each.level}, {each.replicas} replicas"
    if promise is not None:
        title += f" (P{promise.partition}/E{promise.otherwise})"
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("where", "reads", "writes", "answered", "stale reads", "promised"):
        table.add_column(heading, overflow="fold")
    for region, phases in each.regions.items():
        for phase, pair in phases.items():
            name = {MINORITY: "cut off", MAJORITY: "with the majority"}.get(phase, "no fault")
            table.add_row(f"{region}, {name}", *_cells(pair))
    service = promise.at(each.level) if promise is not None else None
    rows = (
        ("all, no fault", each.steady, _spelled(each, service)),
        ("minority, settled", each.minority.settled, _claim(each, promise, majority=False)),
        ("majority, settled", each.majority.settled, _claim(each, promise, majority=True)),
    )
    table.add_section()
    for name, pair, claim in rows:
        table.add_row(name, *_cells(pair), claim)
    table.add_section()
    first = each.majority.first_answer_ms
    table.add_row(
        "majority, after the cut",
        *(
            "",
            "",
            f"first answer everywhere after {first:,.0f} ms" if first >= 0 else "not served everywhere",
            "",
        ),
        ""
        if promise is None
        else f"failover about {promise.failover_ns / 1e6:,.0f} ms"
        + (" and the control group's" if promise.control_group else ""),
    )
    refusal = each.minority.slowest_refusal_ms
    table.add_row(
        "minority, refusals",
        *("", "", f"within {refusal:,.0f} ms" if refusal >= 0 else "none", ""),
        f"within {each.deadline_ms:,} ms",
    )
    table.add_row(
        "after healing",
        *("", f"{each.lost} of {each.acknowledged:,} lost", f"alike after {each.converged_ms:,.0f} ms", ""),
        ""
        if promise is None
        else ("writes may be lost" if promise.loses else "nothing acknowledged is lost"),
    )
    return table


def _cells(pair: Pair) -> tuple[str, str, str, str]:
    served = [f"{100 * figures.available:.0f} %" for figures in (pair.reads, pair.writes)]
    stale = f"{pair.reads.stale:.1%}, {pair.reads.age_ms:,.0f} ms, {pair.reads.behind} behind"
    return (
        _latency(pair.reads),
        _latency(pair.writes),
        f"{served[0]} / {served[1]}",
        stale if pair.reads.stale else "none" if pair.reads.available else "–",
    )


def _latency(figures: Figures) -> str:
    if figures.median_ms < 0:
        return "–"
    return f"{figures.median_ms:,.1f} / {figures.p99_ms:,.1f} ms ({figures.round_trips:g} RTT)"


def _spelled(each: Measured, service: Any) -> str:
    """Round trips, promised and counted."""
    counted = [
        f"{min(figures):g} to {max(figures):g}" if min(figures) != max(figures) else f"{min(figures):g}"
        for figures in (each.ruler.reads, each.ruler.writes)
    ]
    if service is None:
        return f"counted round trips: reads {counted[0]}, writes {counted[1]}"
    reads, writes = service.read_round_trips, service.write_round_trips
    return (
        f"round trips: reads {reads[0]:g} to {reads[1]:g} (counted {counted[0]}), "
        f"writes {writes[0]:g} to {writes[1]:g} (counted {counted[1]}); "
        f"{'reads may be stale' if service.stale else 'no stale read'}"
    )


def _claim(each: Measured, promise: Promise | None, *, majority: bool) -> str:
    if promise is None:
        return ""
    claim = promise.on_majority if majority else promise.on_minority
    reads, writes = (claim(each.level, each.replicas, writes=writes) for writes in (False, True))
    return f"reads: {reads}, writes: {writes}"


def _summary(measured: Sequence[Measured], promises: dict[str, Promise]) -> Table:
    table = Table(title="all kinds", title_justify="left", title_style="bold")
    for heading in (
        "keyspace",
        "class",
        "read, median",
        "write, median",
        "cut-off side: reads / writes",
        "stale by",
        "lost",
        "alike after",
    ):
        table.add_column(heading)
    for each in measured:
        promise = promises.get(each.kind)
        settled = each.minority.settled
        age = max(each.minority.whole.reads.age_ms, each.majority.whole.reads.age_ms)
        table.add_row(
            each.kind,
            f"P{promise.partition}/E{promise.otherwise}" if promise is not None else "",
            f"{each.steady.reads.median_ms:,.1f} ms",
            f"{each.steady.writes.median_ms:,.1f} ms",
            f"{100 * settled.reads.available:.0f} % / {100 * settled.writes.available:.0f} %",
            f"{age / 1000:,.1f} s" if age else "–",
            str(each.lost),
            f"{each.converged_ms:,.0f} ms",
        )
    return table
