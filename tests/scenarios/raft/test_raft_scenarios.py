"""Plays the golden scripts of this folder: a few Raft cores, driven step by step.

Steps (nodes are numbers; times are milliseconds):

    cluster 3 [option=value ...]     nodes 1..3 on empty disks; options as in RaftOptions
    logs TERM 1=1,1,2 2=1 3=         nodes that restart in TERM, with logs of these terms
    node 4                           one more node, which knows no members
    elect 1                          make 1 the leader, quietly
    campaign 1 | wake 1 | lost 2 1   campaign now | time passes until its deadline | 2 is told 1 is gone
    pass 30 | beats 1 5              time passes, nobody wakes | 1 sends 5 answered heartbeats (not shown)
    propose 1 a | read 2             a proposal | a read
    transfer 1 3 | add 1 4 | promote 1 4 | remove 1 3 | replace 1 3,4,5
    sync 1 [2]                       what 1 wrote (the first 2 records) is durable
    deliver [1>2] [2]                messages arrive: all on their way now, or of a link, or the first few
    drop [1>2] [2]                   messages are lost
    later                            the messages on their way, newest first
    settle [quietly]                 deliver and sync until nothing is left to do
    cut 1,2 3 | heal                 only nodes of one side reach each other
    crash 1 | restart 1
    flush 1 | serve 1                the state is durable: compact | read and install snapshots
    status 1 | logs? | network?      look
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.protocols.raft_cluster import MS, Cluster, Packet, members_of, records_of

from comity.protocols.raft import RaftOptions
from comity.protocols.raft.messages import Append, Entry, Heartbeat, HeartbeatReply
from comity.protocols.raft.records import HardState, decode
from comity.replica import (
    AddMember,
    Effects,
    EntryKind,
    Member,
    Members,
    PromoteMember,
    Record,
    RemoveMember,
    ReplaceMembers,
    SnapshotRead,
    TransferLeadership,
    decode_members,
)
from comity.replica.logged import Appended

FOLDER = Path(__file__).parent
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.txt"))


class Stage(Cluster):
    """A cluster that writes down what every turn brings about."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.lines: list[str] = []
        self.told = 0
        super().__init__(*args, **kwargs)

    def observe(self, number: int, effects: Effects) -> None:
        for node, event, fields in self.notes[self.told :]:
            details = ", ".join(f"{name} {value}" for name, value in fields.items())
            self.lines.append(f"{node} notes {event}: {details}")
        self.told = len(self.notes)
        for record in effects.write:
            self.lines.append(f"{number} writes {record_text(record)}")
        for send in effects.send:
            self.lines.append(f"{number} sends {send.peer} {message_text(send.message)}")
        for send in effects.send_durable:
            self.lines.append(f"{number} sends {send.peer} once durable {message_text(send.message)}")
        for entry in effects.apply:
            what = entry_text(Entry(entry.term, entry.kind, entry.payload))
            self.lines.append(f"{number} applies {entry.index} {what}")
        for reply in effects.reply:
            self.lines.append(f"{number} answers request {reply.request} {reply.outcome}")
        for request in effects.snapshot:
            if isinstance(request, SnapshotRead):
                where = f"from {request.cursor!r}" if request.cursor else "from its start"
                which = f"at {request.snapshot}" if request.snapshot else "as it is"
                self.lines.append(f"{number} reads the snapshot {which} for {request.peer} {where}")
            else:
                chunk = request.chunk
                last = "" if chunk.next_cursor else ", the last,"
                self.lines.append(f"{number} stages a chunk{last} of snapshot {chunk.index}")


def entry_text(entry: Entry) -> str:
    if entry.kind == EntryKind.COMMAND:
        what = entry.payload.decode()
    elif entry.kind == EntryKind.MEMBERS:
        what = members_text(decode_members(entry.payload))
    else:
        what = "no-op"
    return f"{what} ({entry.term})"


def members_text(members: Members) -> str:
    text = f"voters {list(members.voters)}"
    if members.outgoing:
        text += f" outgoing {list(members.outgoing)}"
    if members.learners:
        text += f" learners {list(members.learners)}"
    return text


def message_text(message: Any) -> str:
    name = type(message).__name__
    if isinstance(message, Append):
        entries = ", ".join(entry_text(entry) for entry in message.entries)
        previous = f"{message.previous_index} ({message.previous_term})"
        return f"{name} of {message.term} after {previous}, commit {message.commit}: [{entries}]"
    hidden = {"members", "data", "number"}
    fields = [
        f"{field} {getattr(message, field)}" for field in message.__struct_fields__ if field not in hidden
    ]
    return f"{name} {', '.join(fields)}"


def record_text(record: Record) -> str:
    body = decode(record.data)
    if isinstance(body, HardState):
        return f"term {body.term} vote {body.vote}"
    if isinstance(body, Appended):
        return f"entry {record.index} {entry_text(Entry(body.term, body.kind, body.payload))}"
    return f"base {body.index} ({body.term})"


class Player:
    """Carries out the steps of one script."""

    def __init__(self) -> None:
        self.stage = Stage(1, started=False)

    def play(self, step: str) -> list[str]:
        word, *rest = step.split()
        stage = self.stage
        stage.lines = []
        method: Callable[..., None] = getattr(self, f"step_{word.rstrip('?')}")
        method(*rest)
        return self.stage.lines

    def step_cluster(self, size: str, *options: str) -> None:
        values: dict[str, Any] = {}
        for option in options:
            name, _, value = option.partition("=")
            values[name] = value == "true" if value in {"true", "false"} else int(value)
        self.stage = Stage(int(size), options=RaftOptions(**values))

    def step_logs(self, *words: str) -> None:
        if not words:
            for number in sorted(self.stage.nodes):
                log = self.stage[number].log
                held = " ".join(entry_text(entry) for entry in log.entries)
                base = f"(base {log.base}) " if log.base else ""
                self.stage.lines.append(f"{number}: {base}{held}; commit {self.stage[number].commit}")
            return
        term, *logs = words
        terms = {int(log[0]): [int(part) for part in log[2:].split(",") if part] for log in logs}
        self.stage = Stage(sorted(terms), started=False)
        for node, held_terms in terms.items():
            self.stage.add(node, records=records_of(int(term), held_terms))

    def step_node(self, number: str) -> None:
        self.stage.add(int(number), members=Members(voters=()))

    def step_elect(self, number: str) -> None:
        self.stage.elect(int(number))
        self.stage.lines = []

    def step_campaign(self, number: str) -> None:
        self.stage[int(number)].campaign(self.stage.now_ns)
        self.stage.turn(int(number))

    def step_wake(self, number: str) -> None:
        stage = self.stage
        stage.now_ns = max(stage.now_ns, stage[int(number)].deadline_ns)
        stage.wake(int(number))

    def step_beats(self, number: str, count: str) -> None:
        for _ in range(int(count)):
            self.step_wake(number)
            for kind in (Heartbeat, HeartbeatReply):
                for packet in [packet for packet in self.stage.network if type(packet.message) is kind]:
                    self.stage.network.remove(packet)
                    self.stage.deliver(packet)
        self.stage.lines = [line for line in self.stage.lines if "Heartbeat" not in line]

    def step_pass(self, milliseconds: str) -> None:
        self.stage.now_ns += int(milliseconds) * MS

    def step_lost(self, number: str, peer: str) -> None:
        self.stage[int(number)].peer_lost(self.stage.now_ns, int(peer))
        self.stage.turn(int(number))

    def step_propose(self, number: str, *payloads: str) -> None:
        for payload in payloads:
            self.stage.propose(int(number), payload.encode())

    def step_read(self, number: str) -> None:
        self.stage.read(int(number))

    def step_transfer(self, number: str, node: str) -> None:
        self.stage.administer(int(number), TransferLeadership(int(node)))

    def step_add(self, number: str, node: str) -> None:
        self.stage.administer(
            int(number), AddMember(Member(int(node), f"host{node}:7101", f"host{node}:7001"))
        )

    def step_promote(self, number: str, node: str) -> None:
        self.stage.administer(int(number), PromoteMember(int(node)))

    def step_remove(self, number: str, node: str) -> None:
        self.stage.administer(int(number), RemoveMember(int(node)))

    def step_replace(self, number: str, nodes: str) -> None:
        voters = tuple(int(node) for node in nodes.split(","))
        self.stage.administer(int(number), ReplaceMembers(voters))

    def step_sync(self, number: str, records: str = "") -> None:
        self.stage.sync(int(number), int(records) if records else None)

    def _take(self, words: tuple[str, ...]) -> list[Packet]:
        chosen = self.stage.network
        for word in words:
            if ">" in word:
                sender, _, receiver = word.partition(">")
                chosen = [
                    packet
                    for packet in chosen
                    if (packet.sender, packet.receiver) == (int(sender), int(receiver))
                ]
            else:
                chosen = chosen[: int(word)]
        taken = list(chosen)
        self.stage.network = [
            packet for packet in self.stage.network if not any(packet is other for other in taken)
        ]
        return taken

    def step_deliver(self, *words: str) -> None:
        for packet in self._take(words):
            self.stage.deliver(packet)

    def step_drop(self, *words: str) -> None:
        for packet in self._take(words):
            text = f"lost: {packet.sender} to {packet.receiver} {message_text(packet.message)}"
            self.stage.lines.append(text)

    def step_later(self) -> None:
        self.stage.network.reverse()

    def step_settle(self, how: str = "") -> None:
        self.stage.settle()
        if how == "quietly":
            self.stage.lines = []

    def step_cut(self, *sides: str) -> None:
        self.stage.partition(*([int(number) for number in side.split(",")] for side in sides))

    def step_heal(self) -> None:
        self.stage.heal()

    def step_crash(self, number: str) -> None:
        self.stage.crash(int(number))

    def step_restart(self, number: str) -> None:
        self.stage.restart(int(number))

    def step_flush(self, number: str) -> None:
        self.stage.flush(int(number))

    def step_serve(self, number: str) -> None:
        self.stage.serve_snapshots(int(number))

    def step_status(self, number: str) -> None:
        status = self.stage[int(number)].status()
        shown = ("role", "term", "leader", "commit", "last", "durable", "base")
        self.stage.lines.append(", ".join(f"{name} {status[name]}" for name in shown))
        self.stage.lines.append(members_text(self.stage[int(number)].members))
        for peer, facts in status.get("peers", {}).items():
            names = ("state", "match", "next", "inflight")
            self.stage.lines.append(f"{peer}: " + ", ".join(f"{name} {facts[name]}" for name in names))

    def step_network(self) -> None:
        for packet in self.stage.network:
            self.stage.lines.append(f"{packet.sender} to {packet.receiver} {message_text(packet.message)}")


def play(script: str) -> str:
    """The script with what its steps bring about now."""
    player = Player()
    played = []
    for line in script.splitlines():
        if line.startswith("> "):
            played.append(line)
            played += [f"  {text}" for text in player.play(line[2:])]
        elif not line.startswith("  "):
            played.append(line)
    player.stage.check()
    return "\n".join(played) + "\n"


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_cores_play_the_scenario_as_written(name: str, rewrite: bool) -> None:
    path = FOLDER / f"{name}.txt"
    script = path.read_text(encoding="utf-8")
    played = play(script)
    if rewrite:
        path.write_text(played, encoding="utf-8")
    assert played == path.read_text(encoding="utf-8"), f"see {path.name}; --rewrite takes it as it is now"


def test_the_members_helper_is_what_scripts_speak_of() -> None:
    assert members_text(members_of([2, 1], [3])) == "voters [1, 2] learners [3]"
