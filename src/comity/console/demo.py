"""`comity demo`: half a minute in which a cluster is broken and every promise is checked."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from comity.checkers.history import History, Outcome
from comity.checkers.verdict import Status
from comity.console.chaos.account import acknowledged_ns, longest_silence_ns
from comity.console.chaos.cluster import Cluster, Node, NotConverged, connect
from comity.console.chaos.judgement import Evidence, Judgement, judge
from comity.console.chaos.keyspace import Kind, kind_of
from comity.console.chaos.processes import ProcessFailed
from comity.console.chaos.trial import Trial

CLIENTS = 8
RATE = 500.0
CALM_S = 3.0
BROKEN_S = 3.0
WHOLE_TIMEOUT_S = 10.0
BUCKETS_PER_SECOND = 4
BARS = " ▁▂▃▄▅▆▇█"


def demo(
    keep: Annotated[bool, typer.Option(help="Keep the nodes' data and logs, and say where.")] = False,
    history: Annotated[Path | None, typer.Option(help="Also write the history to this file.")] = None,
    plant_violation: Annotated[
        bool,
        typer.Option(
            hidden=True,
            help="Delete an acknowledged key behind the checker's back; the demo must find out and exit 1.",
        ),
    ] = False,
) -> None:
    """Three nodes, ordinary Redis clients, the leader killed with -9: is anything lost?

    Takes about 25 seconds and needs nothing but this machine. Exit status 0: nothing was lost and the
    history is linearizable; 1: a promise was broken; 2: the cluster could not be started.
    """
    console = Console(highlight=False, soft_wrap=True)
    try:
        with Cluster(3) as cluster:
            cluster.keep = keep
            status = _Demo(cluster, console, history, plant_violation).play()
            cluster.keep = keep or status != 0
            if cluster.keep:
                console.print(f"\nThe nodes' data and logs: {cluster.directory}")
    except (NotConverged, ProcessFailed, TimeoutError) as error:
        typer.echo(f"comity demo: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("comity demo: interrupted; everything that was started has been stopped", err=True)
        raise typer.Exit(130) from None
    raise typer.Exit(status)


class _Demo:
    """The script, and what is said while it runs."""

    def __init__(self, cluster: Cluster, console: Console, history: Path | None, plant: bool) -> None:
        self.cluster = cluster
        self.console = console
        self.history_file = history
        self.plant = plant
        self.began_ns = time.monotonic_ns()
        self.marks: list[tuple[int, str]] = []
        self.missed: list[str] = []

    def play(self) -> int:
        """Everything; the exit status."""
        self._introduce()
        self.cluster.start()
        leader = self.cluster.wait_leader()
        for node in self.cluster.nodes:
            leads = ", leads" if node is leader else ""
            self._say(
                f"{node.name} serves Redis clients at {node.endpoint.redis_address} (pid {node.pid}{leads})"
            )
        addresses = [(node.endpoint.host, node.endpoint.redis_port) for node in self.cluster.nodes]
        with Trial(
            addresses, clients=CLIENTS, rate=RATE, seed=1, history_file=self.history_file, timeouts_s=(2.0,)
        ) as trial:
            trial.start()
            clients_began_ns = time.monotonic_ns()
            self._say(f"{CLIENTS} redis-py clients begin to read and write, on any node")
            time.sleep(CALM_S)
            self._kill_leader(trial)
            self._pause_leader(trial)
            time.sleep(CALM_S)
            trial.finish()
            self._say("the clients stop; now every key is read again")
            worked = trial.history()
            if self.plant:
                self._sabotage(worked)
            judgement = self._judge(trial)
        self._chart(worked, clients_began_ns)
        self._conclude(trial, judgement)
        return judgement.exit_status

    def _say(self, text: str) -> None:
        seconds = (time.monotonic_ns() - self.began_ns) / 1e9
        self.console.print(f"  {seconds:5.1f} s  {text}", markup=False)

    def _introduce(self) -> None:
        self.console.print(
            "The promise: three nodes behave like one. A write that was acknowledged is never lost, and\n"
            "every read sees the latest one (linearizable), also while one of the nodes is down.\n"
        )

    def _mark(self, sign: str) -> int:
        now_ns = time.monotonic_ns()
        self.marks.append((now_ns, sign))
        return now_ns

    # -- faults

    def _kill_leader(self, trial: Trial) -> None:
        leader = self.cluster.wait_leader()
        since_ns = self._mark("K")
        leader.kill()
        trial.note("kill -9", leader.name)
        self._say(f"kill -9 {leader.name}, the leader")
        time.sleep(BROKEN_S)
        self._say_recovery(trial, since_ns)
        leader.start()
        self._mark("r")
        self._say(f"{leader.name} is started again")
        self._whole(leader)

    def _pause_leader(self, trial: Trial) -> None:
        leader = self.cluster.wait_leader()
        since_ns = self._mark("S")
        leader.pause()
        trial.note("pause", leader.name)
        self._say(f"SIGSTOP {leader.name}, the leader: it stands still, its connections stay open")
        time.sleep(BROKEN_S)
        self._say_recovery(trial, since_ns)
        leader.resume()
        self._mark("c")
        self._say(f"SIGCONT {leader.name}: it goes on as if it still led, and must find out that it does not")
        self._whole(leader)

    def _say_recovery(self, trial: Trial, since_ns: int) -> None:
        silence_ns, _ = longest_silence_ns(trial.history(), since_ns)
        leader = self.cluster.wait_leader()
        self._say(f"{leader.name} leads now; no write was acknowledged for {silence_ns / 1e9:.2f} s")

    def _whole(self, node: Node) -> None:
        try:
            self.cluster.wait_ready(WHOLE_TIMEOUT_S)
        except NotConverged as late:
            self.missed.append(str(late))
            self._say(f"{node.name} is not ready again: {late}")
        else:
            self._say(f"{node.name} has caught up")

    def _sabotage(self, history: History) -> None:
        """The planted violation: an acknowledged key is deleted, and nobody records it."""
        written = [
            operation.key
            for operation in history.operations
            if operation.outcome is Outcome.OK
            and operation.f == "SET"
            and kind_of(operation.key) is Kind.LEDGER
        ]
        key = random.Random(7).choice(written)
        endpoint = self.cluster.wait_leader().endpoint
        with connect(endpoint.host, endpoint.redis_port, 5.0) as client:
            deleted: Any = client.delete(key)
        assert deleted == 1, f"{key} was already gone"
        self._say("(planted: one acknowledged key has been deleted behind the checker's back)")

    # -- the verdict

    def _judge(self, trial: Trial) -> Judgement:
        digests: dict[int, tuple[int, str]] = {}
        try:
            trial.read_everything()
            digests = self.cluster.digests(WHOLE_TIMEOUT_S)
        except NotConverged as apart:
            self.missed.append(str(apart))
        crashes = [
            f"{node.name} ended by itself\n{node.tail()}" for node in self.cluster.nodes if node.crashed()
        ]
        self._say("the history is checked")
        evidence = Evidence(trial.history(), trial.final, digests, trial.unexpected(), crashes, self.missed)
        return judge(evidence)

    def _chart(self, history: History, since_ns: int) -> None:
        """Acknowledged writes over time, with a letter under it for what happened."""
        width_ns = 1_000_000_000 // BUCKETS_PER_SECOND
        times = [at_ns for at_ns in acknowledged_ns(history) if at_ns >= since_ns]
        if not times:
            return
        counts = [0] * ((times[-1] - since_ns) // width_ns + 1)
        for at_ns in times:
            counts[(at_ns - since_ns) // width_ns] += 1
        most = max(counts)
        bars = "".join(BARS[-(-count * (len(BARS) - 1) // most)] for count in counts)
        signs = [" "] * len(counts)
        for at_ns, sign in self.marks:
            place = (at_ns - since_ns) // width_ns
            if 0 <= place < len(signs):
                signs[place] = sign
        self.console.print(f"\n  acknowledged writes, a column is {width_ns / 1e9:g} s")
        self.console.print(f"  {bars}", markup=False)
        self.console.print(
            f"  {''.join(signs)}   K kill -9, r started again, S SIGSTOP, c SIGCONT", markup=False
        )

    def _conclude(self, trial: Trial, judgement: Judgement) -> None:
        account, report = judgement.account, judgement.report
        yes, no = "[green]✓[/green]", "[red]✗[/red]"
        say = self.console.print
        say("\nWhat was checked:")
        lost = len(account.problems)
        found = f"{lost} not accounted for" if lost else "every one accounted for"
        say(f"  {no if lost else yes} {account.acknowledged:,} acknowledged writes: {found}")
        say(f"    {account.unknown} more had no answer when their node was hit; they may be there or not")
        linearizable = report.status is Status.VALID
        say(
            f"  {yes if linearizable else no} {report.operations:,} operations on {report.keys:,} keys: "
            f"{'linearizable' if linearizable else report.established}"
        )
        indices = {index for index, _ in judgement.digests.values()}
        digests = {digest for _, digest in judgement.digests.values()}
        equal = len(digests) == 1
        where = f"at log index {indices.pop():,}" if len(indices) == 1 else "not comparable"
        say(
            f"  {yes if equal else no} the three replicas {'are equal' if equal else 'are NOT equal'} {where}"
        )
        say(f"    longest time without an acknowledged write: {judgement.silence_ns / 1e9:.2f} s")
        for problem in judgement.problems:
            self.console.print(f"\n  ✗ {problem}", markup=False, style="red")
        seconds = (time.monotonic_ns() - self.began_ns) / 1e9
        if judgement.status is Status.VALID:
            say(f"\n[green]The promise was kept[/green] ({seconds:.1f} s).")
        elif judgement.status is Status.VIOLATION:
            say(f"\n[red]The promise was broken[/red] ({seconds:.1f} s).")
        else:
            say(f"\n[yellow]Unknown[/yellow]: {report.established} ({seconds:.1f} s).")
