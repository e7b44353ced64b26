"""Draws what docs/how-to/measure.md shows: the PACELC chart and the gaps of failovers; writes its tables too.

python docs/measure/build.py
"""

from __future__ import annotations

from pathlib import Path

from comity.simulator.campaign import cores
from comity.simulator.campaign_measures import gaps_all, measure_all
from comity.simulator.charts import failover, pacelc
from comity.simulator.failover import Gap
from comity.simulator.measure import KINDS, Plan
from comity.simulator.measured import Measured, agrees
from comity.simulator.topologies import named

DOCS = Path(__file__).resolve().parent.parent
IMAGES = DOCS / "images"
PAGE = DOCS / "how-to" / "measure.md"
SEEDS = range(3)
GAP_SEEDS = range(2)
DEADLINE_MS = 5_000


def pacelc_chart() -> str:
    """Draw it, and the table beside it. Fails where explain and measure do not agree."""
    topology = named("three-regions")
    plans = [Plan(kind=kind, topology=topology) for kind in KINDS.values()]
    measured = [each for each in measure_all(plans, SEEDS, jobs=cores()) if each is not None]
    promises = {plan.kind.name: plan.kind.promise(plan.replicas) for plan in plans}
    told = {name: promise for name, promise in promises.items() if promise is not None}
    wrong = [line for each in measured for line in agrees(each, told[each.kind])]
    if wrong:
        raise SystemExit("\n".join(wrong))
    (IMAGES / "pacelc.svg").write_text(pacelc(measured, told, topology.source))
    rows = [
        "| keyspace | class | read | write | cut-off side: reads / writes | stale by | lost | alike after |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for each in measured:
        promise = told[each.kind]
        rows.append(f"| {each.kind} | P{promise.partition}/E{promise.otherwise} | {_row(each)} |")
    return "\n".join(rows)


def _row(each: Measured) -> str:
    settled = each.minority.settled
    age = max(each.minority.whole.reads.age_ms, each.majority.whole.reads.age_ms)
    cells = (
        f"{each.steady.reads.median_ms:.1f} ms",
        f"{each.steady.writes.median_ms:.1f} ms",
        f"{100 * settled.reads.available:.0f} % / {100 * settled.writes.available:.0f} %",
        f"{age / 1000:.1f} s" if age else "never",
        str(each.lost),
        f"{each.converged_ms:.0f} ms",
    )
    return " | ".join(cells)


def gap_chart() -> str:
    """Draw it, and the table beside it."""
    topology = named("lan")
    gaps: list[Gap] = []
    kinds = list(KINDS.values())
    for each in gaps_all(kinds, topology, GAP_SEEDS, deadline_ms=DEADLINE_MS, jobs=cores()):
        if isinstance(each, list):
            gaps = each
    (IMAGES / "failover-gap.svg").write_text(failover(gaps, deadline_ms=DEADLINE_MS, topology=topology.name))
    rows = ["| keyspace | killed | longest | median | without a fault |", "|---|---|--:|--:|--:|"]
    for gap in gaps:
        figures = " | ".join(f"{value:,.0f} ms" for value in (gap.worst_ms, gap.median_ms, gap.usual_ms))
        rows.append(f"| {gap.kind} | {gap.way} | {figures} |")
    return "\n".join(rows)


def put(page: str, name: str, table: str) -> str:
    """The page with what is between two comments replaced."""
    before, rest = page.split(f"<!-- {name} -->\n", 1)
    _, after = rest.split(f"<!-- end of {name} -->", 1)
    return f"{before}<!-- {name} -->\n{table}\n<!-- end of {name} -->{after}"


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    text = put(PAGE.read_text(), "pacelc", pacelc_chart())
    PAGE.write_text(put(text, "gaps", gap_chart()))
    print(f"{PAGE}, {IMAGES / 'pacelc.svg'}, {IMAGES / 'failover-gap.svg'}")
