"""What happened in one simulation, written down for a picture. Watching changes nothing of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from comity.checkers import History
from comity.keyspaces.definition import FIRST_NUMBER
from comity.node import Envelope
from comity.node.group import Group
from comity.node.messages import KIND_CORE, KIND_DECLINE, KIND_FORWARD
from comity.simulator.clients import Request, SimulatedClient
from comity.simulator.cluster import Cluster, Result
from comity.simulator.generate import run_case
from comity.simulator.settings import Case

FORWARD = "forward"
OTHER = "other"
KIND_WORDS = ("vote", "snapshot", "append", "heartbeat", "read")
"""Messages are told apart by these words in the names of their types, whatever the protocol."""

RANK = ("vote", "snapshot", "append", FORWARD, "read", OTHER, "heartbeat")
"""A frame with several messages counts as the first of these that it carries."""

WRITES = ("set", "cas", "setnx", "getset", "append", "pair")
"""Operations whose value is worth saying."""

FRAMES = 2_000_000
"""Most frames that are kept."""


class Frame(msgspec.Struct, frozen=True):
    """One frame between nodes. kind: of `RANK`; arrival_ns: -1 where it never arrived."""

    source: int
    target: int
    sent_ns: int
    arrival_ns: int
    kind: str
    words: str


class Reign(msgspec.Struct):
    """A node believed itself leader of a term of the first keyspace; end_ns -1 where it still does."""

    node: int
    term: int
    start_ns: int
    end_ns: int


class Absence(msgspec.Struct):
    """No frame got from or to a node; end_ns -1 where that never ended."""

    node: int
    start_ns: int
    end_ns: int = -1


class Asked(msgspec.Struct):
    """One client operation. outcome: ok, fail or info; "" where it never ended."""

    client: int
    node: int
    words: str
    start_ns: int
    end_ns: int = -1
    outcome: str = ""
    answer: str = ""


class Recording(msgspec.Struct, kw_only=True):
    """One simulation. events: (time_ns, node, what), as `Cluster.events`.

    history: of the linearizable clients. levels: of the others, by their level (and keyspace, where it is not
    the default), those that asked anything.
    """

    case: Case
    result: Result
    frames: list[Frame]
    reigns: list[Reign]
    absences: list[Absence]
    asked: list[Asked]
    events: list[tuple[int, int, str]]
    end_ns: int
    history: History
    levels: dict[str, History]


def record(case: Case) -> Recording:
    """Run a case and watch it."""
    watch = _Watch()
    result = run_case(case, watch.attach)
    return Recording(
        case=case,
        result=result,
        frames=watch.frames,
        reigns=watch.reigns,
        absences=watch.absences,
        asked=watch.asked,
        events=watch.cluster.events,
        end_ns=watch.cluster.world.now_ns,
        history=watch.cluster.history(),
        levels={
            f"{level}-{keyspace}" if keyspace else level: history
            for (level, keyspace), recorder in watch.cluster.levels.items()
            if (history := recorder.history()).operations
        },
    )


class _Watch:
    cluster: Cluster

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.reigns: list[Reign] = []
        self.absences: list[Absence] = []
        self.asked: list[Asked] = []
        self._reigning: dict[int, Reign] = {}
        self._under_way: dict[int, tuple[Request, Asked]] = {}

    def attach(self, cluster: Cluster) -> None:
        self.cluster = cluster
        protocols = cluster.protocols
        tried = protocols[cluster.trial.replication]
        self._codec = tried.codec
        self._codec_of_hosts = protocols["raft"].codec if cluster.trial.prefix else tried.codec
        """Of the groups that are there from the start."""
        cluster.network.on_frame = self._frame
        network = cluster.network
        cut, mend, heal = network.cut, network.mend, network.heal

        def cut_one(source: int, target: int) -> None:
            cut(source, target)
            self._note_absences()

        def mended(source: int, target: int) -> None:
            mend(source, target)
            self._note_absences()

        def healed() -> None:
            heal()
            self._note_absences()

        network.cut = cut_one  # type: ignore[method-assign]
        network.mend = mended  # type: ignore[method-assign]
        network.heal = healed  # type: ignore[method-assign]
        watch = cluster.oracle.watch

        def watched(node: int, group: Group) -> None:
            watch(node, group)
            if group.name == "default":
                self._follow(node, group)

        cluster.oracle.watch = watched  # type: ignore[method-assign]
        event = cluster.event

        def happened(node: int, what: str) -> None:
            event(node, what)
            if node in cluster.processes and cluster.processes[node].host is None:
                self._end_reign(node)

        cluster.event = happened  # type: ignore[method-assign]
        for client in cluster.clients.values():
            self._listen(client)

    def _frame(
        self, source: int, target: int, sent_ns: int, arrival_ns: int, envelopes: Sequence[Envelope]
    ) -> None:
        if len(self.frames) >= FRAMES:
            return
        names = [self._name(*envelope) for envelope in envelopes]
        kinds = {_kind_of(name) for name in names}
        kind = next(kind for kind in RANK if kind in kinds)
        words = ", ".join(dict.fromkeys(names))
        self.frames.append(Frame(source, target, sent_ns, arrival_ns, kind, words))

    def _note_absences(self) -> None:
        for node in self.cluster.processes:
            links = [link for pair, link in self.cluster.network.links.items() if node in pair]
            away = bool(links) and all(link.cuts for link in links)
            open_one = next((each for each in self.absences if each.node == node and each.end_ns < 0), None)
            if away and open_one is None:
                self.absences.append(Absence(node, self.cluster.world.now_ns))
            elif not away and open_one is not None:
                open_one.end_ns = self.cluster.world.now_ns

    def _name(self, group: int, kind: int, body: bytes) -> str:
        if kind == KIND_FORWARD:
            return "Forward"
        if kind == KIND_DECLINE:
            return "ForwardDeclined"
        if kind != KIND_CORE:
            return OTHER
        codec = self._codec if group >= FIRST_NUMBER else self._codec_of_hosts
        return type(codec.decode(body)).__name__

    def _follow(self, node: int, group: Group) -> None:
        core: Any = group.core
        take = core.take

        def taken(now_ns: int) -> Any:
            effects = take(now_ns)
            term = getattr(core, "term", 0)
            reign = self._reigning.get(node)
            leads = core.leader == node
            if reign is not None and not (leads and reign.term == term):
                self._end_reign(node)
                reign = None
            if leads and reign is None:
                reign = Reign(node, term, self.cluster.world.now_ns, -1)
                self._reigning[node] = reign
                self.reigns.append(reign)
            return effects

        core.take = taken

    def _end_reign(self, node: int) -> None:
        reign = self._reigning.pop(node, None)
        if reign is not None:
            reign.end_ns = self.cluster.world.now_ns

    def _listen(self, client: SimulatedClient) -> None:
        send, end, compared = client._send, client._end, client._cas

        def sent(request: Request) -> None:
            if request.process >= 0 and id(request) not in self._under_way:
                operation = request.operation
                value = f" {operation.value}" if operation.kind in WRITES else ""
                asked = Asked(
                    client.plan.number,
                    client.node,
                    f"{operation.kind} {operation.key}{value}",
                    self.cluster.world.now_ns,
                )
                self.asked.append(asked)
                self._under_way[id(request)] = (request, asked)
            send(request)

        def ended(request: Request, outcome: str) -> None:
            self._ended(request, outcome)
            end(request, outcome)

        def compared_or_read(request: Request) -> None:
            failed = request.wanted == 3 and request.replies[2] is None
            self._ended(request, "fail" if failed else "ok")
            compared(request)

        client._send = sent  # type: ignore[method-assign]
        client._end = ended  # type: ignore[method-assign]
        client._cas = compared_or_read  # type: ignore[method-assign]

    def _ended(self, request: Request, outcome: str) -> None:
        under_way = self._under_way.pop(id(request), None)
        if under_way is not None:
            asked = under_way[1]
            asked.end_ns = self.cluster.world.now_ns
            asked.outcome = outcome
            if outcome == "ok" and request.replies:
                reply = request.replies[1] if len(request.replies) == 2 else request.replies[-1]
                asked.answer = "nothing" if reply is None else str(reply)


def _kind_of(name: str) -> str:
    lower = name.lower()
    if lower.startswith("forward"):
        return FORWARD
    return next((word for word in KIND_WORDS if word in lower), OTHER)
