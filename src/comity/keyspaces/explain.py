"""What a keyspace promises, spelled out: as plain text for people and as JSON-friendly values for programs.

CAP: Gilbert & Lynch, "Brewer's Conjecture and the Feasibility of Consistent, Available, Partition-Tolerant
Web Services", 2002. PACELC: Abadi, "Consistency Tradeoffs in Modern Distributed Database System Design",
2012.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from comity.keyspaces.choices import LEVELS, AnyProtocol, promise_of
from comity.keyspaces.definition import KeyspaceError
from comity.keyspaces.possible import possible_commands
from comity.replica import KeyedProtocol, Promise
from comity.replica.promises import ANYWHERE, RoundTrips, counted, spelled

WIDTH = 80
LABEL = 14


def explain(
    name: str,
    protocol: AnyProtocol,
    options: Mapping[str, Any],
    level: str,
    replicas: int,
    voters: int = 0,
) -> dict[str, Any]:
    """Everything that is promised, JSON-friendly.

    name: "" for one that is only described. level: what the keyspace gives unless asked for less. voters: of
    the control group, 0 for as many as replicas. Raises `KeyspaceError` for a protocol that states no
    promise, or does not give the level.
    """
    promise = promise_of(protocol, options, replicas)
    if promise is None:
        raise KeyspaceError(
            f"{protocol.name} states no promise: give its PROTOCOL a function promise(options, replicas)"
        )
    if level not in promise.levels:
        raise KeyspaceError(f"{protocol.name} is not {level} here; it gives {', '.join(promise.levels)}")
    voters = voters or replicas
    crashes = promise.crash_faults
    if promise.control_group:
        crashes = min(crashes, (voters - 1) // 2)
    commands = possible_commands(protocol, level)
    return {
        "name": name,
        "replication": protocol.name,
        "summary": protocol.summary,
        "level": level,
        "replicas": replicas,
        "options": dict(options),
        "levels": list(promise.levels),
        "refusals": dict(promise.refusals),
        "cap": promise.partition,
        "pacelc": f"P{promise.partition}/E{promise.otherwise}",
        "reason": promise.pacelc_reason,
        "at": {given: _at(promise, given, replicas) for given in promise.levels},
        "holders": promise.holders or replicas,
        "crash_faults": crashes,
        "byzantine_faults": promise.byzantine_faults,
        "control_group": promise.control_group,
        "voters": voters,
        "failover_ns": promise.failover_ns,
        "convergence_ns": promise.convergence_ns,
        "loss": {
            "possible": promise.loses,
            "entries": promise.loss_entries,
            "bytes": promise.loss_bytes,
            "text": promise.loss,
        },
        "staleness": promise.staleness,
        "clocks": promise.clocks,
        "minority": promise.minority,
        "majority": promise.majority,
        "per_key": isinstance(protocol, KeyedProtocol),
        "commands": {
            "possible": list(commands.possible),
            "limited": [{"reason": reason, "names": list(names)} for reason, names in commands.limited],
            "refused": [{"reason": reason, "names": list(names)} for reason, names in commands.refused],
        },
    }


def _at(promise: Promise, level: str, replicas: int) -> dict[str, Any]:
    """What requests at one level cost, where they are served, and which class that makes them."""
    service = promise.at(level)
    reads, writes = classes(promise, level)
    return {
        "reads": reads,
        "writes": writes,
        "read_quorum": service.read_quorum,
        "write_quorum": service.write_quorum,
        "read_round_trips": list(service.read_round_trips),
        "write_round_trips": list(service.write_round_trips),
        "stale": service.stale,
        "minority": {
            "reads": promise.on_minority(level, replicas, writes=False),
            "writes": promise.on_minority(level, replicas, writes=True),
        },
        "majority": {
            "reads": promise.on_majority(level, replicas, writes=False),
            "writes": promise.on_majority(level, replicas, writes=True),
        },
    }


def classes(promise: Promise, level: str) -> tuple[str, str]:
    """The PACELC classes of (reads, writes) at a level: a keyspace whose writes wait for others may still
    answer weaker reads alone."""
    service = promise.at(level)
    read_partition = "A" if service.reads == ANYWHERE and service.stale else promise.partition
    read_else = "L" if service.stale else promise.otherwise
    cheaper = service.write_round_trips < promise.write_round_trips
    write_else = "L" if cheaper else promise.otherwise
    return f"P{read_partition}/E{read_else}", f"P{promise.partition}/E{write_else}"


# -- for people


def as_text(explained: Mapping[str, Any]) -> str:
    """The same as plain text of 80 columns."""
    level, replicas = explained["level"], explained["replicas"]
    here = explained["at"][level]
    title = f"keyspace {explained['name']}" if explained["name"] else "a keyspace"
    lines = [
        f"{title}: {explained['replication']}, {level}, {counted(replicas, 'replica')}",
        *_wrapped(explained["summary"], "  "),
        "",
    ]
    if explained["options"]:
        words = ", ".join(f"{name} = {_shown(value)}" for name, value in explained["options"].items())
        lines += _row("options", words)
    lines += _row("PACELC", _classes(explained, here))
    lines += _row("quorums", _quorums(explained, here))
    lines += _row("round trips", _costs(here))
    lines += _row("tolerates", _faults(explained))
    lines += _row("may be lost", _loss(explained))
    lines += _row("may be stale", explained["staleness"])
    lines += _row("in a partition", "")
    for side in ("minority", "majority"):
        text = explained[side]
        lines += _row("  " + side, f"{_served(here[side])}. {text[0].upper()}{text[1:]}")
    if explained["failover_ns"]:
        lines += _row("gap", _gap(explained))
    if explained["clocks"]:
        lines += _row("clocks", f"rests on this: {explained['clocks']}")
    lines += ["", "levels"]
    for each in LEVELS:
        if each in explained["at"]:
            lines += _row("  " + each, _level(explained["at"][each], asked=each == level))
        else:
            lines += _row("  " + each, f"refused: {explained['refusals'][each]}")
    lines += ["", "commands", *_commands(explained)]
    return "\n".join(lines) + "\n"


def _row(label: str, text: str) -> list[str]:
    if not text:
        return [label]
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{label:{LABEL}} ",
        subsequent_indent=" " * (LABEL + 1),
        break_on_hyphens=False,
    )


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _classes(explained: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    words = {
        "PC": "consistent in a partition",
        "PA": "available in a partition",
        "EC": "consistent otherwise",
        "EL": "fast otherwise",
    }
    partition, otherwise = explained["pacelc"].split("/")
    text = f"{explained['pacelc']}, {words[partition]}, {words[otherwise]}: {explained['reason']}"
    weaker = [
        f"{what} at {explained['level']} are {here[what]}"
        for what in ("reads", "writes")
        if here[what] != explained["pacelc"]
    ]
    return f"{text}. But {' and '.join(weaker)}" if weaker else text


def _quorums(explained: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    held = explained["holders"]
    of = counted(held, "replica")
    text = f"a read waits for {here['read_quorum']}, a write for {here['write_quorum']} of {of}"
    if held != explained["replicas"]:
        text += f" of its key, on {explained['replicas']} nodes"
    return text


def _costs(here: Mapping[str, Any]) -> str:
    return (
        f"a read {span(here['read_round_trips'])}, a write {span(here['write_round_trips'])} between "
        "replicas, while nothing fails"
    )


def span(round_trips: RoundTrips | list[float]) -> str:
    """From the least to the most: 1, or 1 to 2."""
    least, most = round_trips
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"


def _faults(explained: Mapping[str, Any]) -> str:
    crashes = explained["crash_faults"]
    text = f"{counted(crashes, 'crashed replica')}, {explained['byzantine_faults']} Byzantine ones"
    if explained["control_group"] and explained["replicas"] > 1:
        voters = explained["voters"]
        text += (
            f"; who is away is left out by the control group, which needs {voters // 2 + 1} of its "
            f"{counted(voters, 'voter')}"
        )
    return text


def _loss(explained: Mapping[str, Any]) -> str:
    loss: str = explained["loss"]["text"]
    return loss


def _served(side: Mapping[str, str]) -> str:
    words = {"yes": "{} served", "no": "{} refused", "some": "{} served on some such sides"}
    if side["reads"] == side["writes"]:
        return words[side["reads"]].format("reads and writes")
    return ", ".join(words[side[what]].format(what) for what in ("reads", "writes"))


def _gap(explained: Mapping[str, Any]) -> str:
    text = f"after a failure about {spelled(explained['failover_ns'])} at most"
    if explained["control_group"]:
        text += ", once the control group has noticed"
    return text


def _level(here: Mapping[str, Any], *, asked: bool) -> str:
    text = (
        f"reads {here['reads']}{', may be stale' if here['stale'] else ''}, round trips "
        f"{span(here['read_round_trips'])}; writes {here['writes']}, round trips "
        f"{span(here['write_round_trips'])}"
    )
    return f"{text}; unless asked for another" if asked else text


def _commands(explained: Mapping[str, Any]) -> list[str]:
    commands = explained["commands"]
    lines = _wrapped("possible: " + " ".join(commands["possible"]), "  ")
    for what in ("limited", "refused"):
        for group in commands[what]:
            lines += _wrapped(f"{what}: {' '.join(group['names'])}: {group['reason']}", "  ")
    note = "Commands without a key, such as DBSIZE and FLUSHALL, concern the keyspace 'default'."
    return lines if explained["name"] == "default" else [*lines, *_wrapped(note, "  ")]
