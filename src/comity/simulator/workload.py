"""What clients ask for: drawn from a seed, written down as a plan before anything runs."""

from __future__ import annotations

from comity.replica import Stream
from comity.simulator.settings import Client, Operation
from comity.simulator.trials import TRIALS, Trial

REGISTER_KINDS = (("set", 34), ("get", 40), ("cas", 14), ("setnx", 3), ("getset", 5), ("del", 4))
OTHER_KINDS = (("pair", 4), ("both", 5), ("ttl", 5), ("gone", 4))


RAFT = TRIALS["raft"]


def clients_of(stream: Stream, nodes: int, count: int, trial: Trial = RAFT) -> tuple[Client, ...]:
    """Most of the strongest level, some of each weaker one."""
    clients = []
    weaker = tuple(dict.fromkeys(level for level in trial.levels if level != trial.levels[0]))
    for number in range(count):
        level = trial.levels[0]
        if number >= 4 and weaker and stream.chance(0.4):
            level = stream.pick(weaker)
        clients.append(
            Client(
                number=number,
                node=1 + stream.below(nodes),
                level=level,
                protocol=stream.pick((2, 3)),
                moves=trial.moves,
            )
        )
    return tuple(clients)


def operations_of(
    stream: Stream,
    clients: tuple[Client, ...],
    duration_ms: int,
    per_second: int,
    groups: int = 1,
    trial: Trial = RAFT,
) -> tuple[Operation, ...]:
    """A plan of operations, in order of time."""
    operations = []
    total = duration_ms * per_second // 1000
    for number in range(total):
        client = stream.pick(clients)
        at_ms = number * duration_ms // total + stream.below(20)
        kind, key = _kind(stream, client, groups, trial)
        operations.append(
            Operation(
                at_ms=at_ms,
                client=client.number,
                kind=kind,
                key=trial.prefix + key,
                value=f"{kind[0]}{number}",
                amount=stream.between(20, 900) if kind == "ttl" else 0,
                pipelined=kind not in ("cas", "tally") and stream.chance(0.6 if kind == "count" else 0.25),
            )
        )
    operations.sort(key=lambda operation: operation.at_ms)
    return tuple(operations)


def _kind(stream: Stream, client: Client, groups: int, trial: Trial) -> tuple[str, str]:
    if not trial.log:
        return _kind_of_registers(stream, client, trial)
    prefix = f"group{stream.below(groups)}:" if groups > 1 and stream.chance(0.3) else ""
    if prefix == "group0:":
        prefix = ""
    if client.level != "linearizable":
        if client.level == "eventual":
            return "gone", f"{prefix}register{stream.below(4)}"
        if stream.chance(0.5):
            # Shared by all clients of the level: judged by the models it promises.
            return ("put" if stream.chance(0.4) else "look"), f"{prefix}{client.level}{stream.below(3)}"
        return ("count" if stream.chance(0.4) else "see"), f"{prefix}own{client.number}"
    draw = stream.below(100)
    if client.number % 4 == 3:
        # Readers never wait behind a write, so a node cut off from the others goes on being asked.
        return "get", f"{prefix}register{stream.below(4)}"
    if draw < 60:
        return _weighted(stream, REGISTER_KINDS), f"{prefix}register{stream.below(4)}"
    if draw < 72:
        return ("incr" if stream.chance(0.7) else "get"), f"{prefix}counter{stream.below(2)}"
    if draw < 78:
        return "once", f"{prefix}once{stream.below(2)}"
    if draw < 86:
        return ("append" if stream.chance(0.6) else "get"), f"{prefix}text{stream.below(2)}"
    kind = _weighted(stream, OTHER_KINDS)
    return kind, f"{prefix}{'pair' if kind in ('pair', 'both') else 'ttl'}{stream.below(2)}"


def _kind_of_registers(stream: Stream, client: Client, trial: Trial) -> tuple[str, str]:
    if client.level != "linearizable":
        if client.level == "eventual" and trial.level != "eventual":
            return "gone", f"register{stream.below(4)}"
        if trial.totals and trial.loses and stream.chance(0.8):
            return "tally", "total"
        if trial.removals and stream.chance(0.8):
            return ("bump" if stream.chance(0.5) else "drop"), f"mixed{stream.below(trial.keys)}"
        if client.level == "eventual" or stream.chance(0.6) or not trial.counters:
            return ("put" if stream.chance(0.4) else "look"), f"{client.level}{stream.below(trial.shared)}"
        counter = f"total{stream.below(2)}" if trial.totals else f"own{client.number}"
        return ("count" if stream.chance(0.4) else "see"), counter
    draw = stream.below(100)
    if client.number % 4 == 3:
        return "get", f"register{stream.below(trial.keys)}"
    if draw < 15 and trial.counters:
        return ("incr" if stream.chance(0.7) else "get"), f"counter{stream.below(2)}"
    if draw < 25 and trial.texts:
        return ("append" if stream.chance(0.6) else "get"), f"text{stream.below(2)}"
    return _weighted(stream, trial.registers), f"register{stream.below(trial.keys)}"


def _weighted(stream: Stream, kinds: tuple[tuple[str, int], ...]) -> str:
    draw = stream.below(sum(weight for _, weight in kinds))
    for kind, weight in kinds:
        if draw < weight:
            return kind
        draw -= weight
    raise AssertionError("the weights do not add up")
