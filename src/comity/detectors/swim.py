"""SWIM (Das, Gupta & Motivala 2002) with Lifeguard (Dadgar, Phillips & Currey 2018).

Each protocol period one member is pinged; if it is silent, k others are asked to ping it; if they hear
nothing either, it is suspected, and dead unless it refutes in time. News rides on these messages, so the
load on a node does not depend on how many there are.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from comity.detectors.detector import Detector, Status, _no_note
from comity.detectors.dissemination import News, times_to_send
from comity.detectors.health import LocalHealth
from comity.detectors.membership import Row, Table
from comity.detectors.messages import MAX_INCARNATION, Ack, Nack, Ping, PingRequest, Update
from comity.detectors.options import SwimOptions
from comity.detectors.probe import Probe, Relay
from comity.detectors.suspicion import Suspicion
from comity.replica import NEVER, NodeId, Send, Stream


class Swim(Detector):
    """One member of a SWIM group. incarnation: of this node; it grows when a suspicion is refuted. A node
    that restarts may begin at 0: what others remember of it is refuted, too."""

    def __init__(
        self,
        node: NodeId,
        members: Iterable[NodeId],
        stream: Stream,
        options: SwimOptions | None = None,
        *,
        incarnation: int = 0,
        note: Callable[..., None] = _no_note,
    ) -> None:
        super().__init__(node, note)
        self.options = options or SwimOptions()
        self.incarnation = incarnation
        self.stream = stream
        self.table = Table(stream)
        self.news = News(self.options.max_piggyback_bytes)
        self.health = LocalHealth(self.options.health_max if self.options.local_health else 0)
        self.left = False
        self.probe: Probe | None = None
        self._first = sorted({*members} - {node})
        self._suspicions: dict[NodeId, Suspicion] = {}
        self._trials: list[tuple[int, NodeId]] = []
        self._relays: dict[int, Relay] = {}
        self._number = 0
        self._period = 0
        self._period_ends_ns = NEVER

    # -- life

    def start(self, now_ns: int) -> None:
        if len(self._first) > self.options.max_members:
            raise ValueError(f"there are {len(self._first)} other members: raise max_members")
        for node in self._first:
            if node not in self.table.rows:
                self.table.admit(node)
        self._period_ends_ns = now_ns + self.stream.below(self.options.interval_ns)
        self._schedule()

    def wake(self, now_ns: int) -> None:
        if self._relays:
            self._tend_relays(now_ns)
        if self.probe is not None and now_ns >= self.probe.help_ns:
            self._ask_for_help(now_ns, self.probe)
        while self._trials and self._trials[0][0] <= now_ns:
            expires_ns, node = heapq.heappop(self._trials)
            suspicion = self._suspicions.get(node)
            if suspicion is not None and suspicion.expires_ns == expires_ns:
                self._learn(now_ns, Update(node, Status.DEAD, suspicion.incarnation, self.node))
        if now_ns >= self._period_ends_ns:
            self._end_period(now_ns)
            self._begin_period(now_ns)
        self._schedule()

    def leave(self, now_ns: int) -> None:
        """Tell the others that this node goes (SWIM 3.2): it is dead for them at once, and says nothing
        against it."""
        self.left = True
        self.news.add(Update(self.node, Status.DEAD, self.incarnation, self.node))

    def _schedule(self) -> None:
        deadline_ns = self._period_ends_ns
        if self.probe is not None:
            deadline_ns = min(deadline_ns, self.probe.help_ns)
        if self._trials:
            deadline_ns = min(deadline_ns, self._trials[0][0])
        for relay in self._relays.values():
            deadline_ns = min(deadline_ns, relay.nack_ns, relay.ends_ns)
        self.deadline_ns = deadline_ns

    # -- the probe (SWIM 3.1, Lifeguard LHA-Probe)

    def _begin_period(self, now_ns: int) -> None:
        self._period += 1
        self._period_ends_ns = now_ns + self.options.interval_ns * self.health.multiplier
        target = self.table.to_probe()
        if target is not None:
            self._number += 1
            help_ns = now_ns + self.options.timeout_ns * self.health.multiplier
            self.probe = Probe(self._number, target, help_ns)
            self._tell(target, Ping(self._number))
        every = self.options.reconnect_periods
        if every and self._period % every == 0:
            dead = self.table.some_dead()
            if dead is not None:
                self._number += 1
                self._tell(dead, Ping(self._number))

    def _ask_for_help(self, now_ns: int, probe: Probe) -> None:
        probe.help_ns = NEVER
        if probe.acknowledged:
            return
        request = PingRequest(probe.number, probe.target, self.options.local_health)
        probe.asked = self.table.others(self.options.indirect, probe.target)
        probe.owing = list(probe.asked)
        for helper in probe.asked:
            self._tell(helper, request)

    def _end_period(self, now_ns: int) -> None:
        probe, self.probe = self.probe, None
        if probe is None or probe.acknowledged or probe.target not in self.table.rows:
            return
        self.health.worse()
        if self._nacks_missed(probe):
            self.health.worse()
        self._suspect(now_ns, probe)

    def _nacks_missed(self, probe: Probe) -> bool:
        """Whether one who was asked said neither that the target lives nor that it is silent: then it is
        perhaps this node that does not hear."""
        return bool(probe.owing)

    def _suspect(self, now_ns: int, probe: Probe) -> None:
        """Nobody heard the target. What was learnt of it meanwhile is newer than this probe."""
        incarnation = self.table.rows[probe.target].incarnation
        self._learn(now_ns, Update(probe.target, Status.SUSPECT, incarnation, self.node))

    def _acknowledged(self, probe: Probe) -> None:
        if not probe.acknowledged:
            probe.acknowledged = True
            probe.help_ns = NEVER
            self.health.better()

    # -- messages

    def receive(self, now_ns: int, sender: NodeId, message: Any) -> None:
        if sender not in self.table.rows and not self._welcome(now_ns, sender):
            self.drop("not a member", sender)
            return
        if not isinstance(message, Ping | Ack | PingRequest | Nack):
            self.drop("not a message of SWIM", sender)
            return
        rows = self.table.rows
        for update in message.updates:
            row = rows.get(update.node)
            if row is None or not self._old(update, row):
                self._hear(now_ns, sender, update)
        if isinstance(message, Ping):
            self._tell(sender, Ack(message.number))
        elif isinstance(message, Ack):
            self._on_ack(now_ns, sender, message)
        elif isinstance(message, PingRequest):
            self._on_ping_request(now_ns, sender, message)
        elif self.probe is not None and message.number == self.probe.number and sender in self.probe.owing:
            self.probe.owing.remove(sender)
        self._schedule()

    def _on_ack(self, now_ns: int, sender: NodeId, message: Ack) -> None:
        relay = self._relays.get(message.number)
        if relay is not None and relay.target == sender:
            del self._relays[message.number]
            self._tell(relay.origin, Ack(relay.number))
            return
        probe = self.probe
        if probe is None or message.number != probe.number:
            return
        if sender == probe.target or sender in probe.asked:
            self._acknowledged(probe)

    def _on_ping_request(self, now_ns: int, sender: NodeId, message: PingRequest) -> None:
        if message.target not in self.table.rows:
            self.drop("asked to ping a stranger", sender)
            return
        if len(self._relays) >= self.options.max_relays:
            self.drop("too many pings for others", sender)
            return
        self._number += 1
        nack_ns = now_ns + self.options.timeout_ns * self.options.nack_percent // 100
        self._relays[self._number] = Relay(
            sender,
            message.number,
            message.target,
            nack_ns if message.nack else NEVER,
            now_ns + self.options.interval_ns,
        )
        self._tell(message.target, Ping(self._number))

    def _tend_relays(self, now_ns: int) -> None:
        for number, relay in list(self._relays.items()):
            if now_ns >= relay.nack_ns:
                relay.nack_ns = NEVER
                if relay.origin in self.table.rows:
                    self._tell(relay.origin, Nack(relay.number))
            if now_ns >= relay.ends_ns:
                del self._relays[number]

    def heard(self, now_ns: int, node: NodeId) -> None:
        """It answers for a probe of this period; a suspicion only the suspect itself can refute."""
        if self.probe is not None and node == self.probe.target:
            self._acknowledged(self.probe)
            self._schedule()

    def _tell(self, peer: NodeId, message: Ping | Ack | PingRequest | Nack) -> None:
        updates = self.news.pick(
            self._told_first(peer), times_to_send(self.options.retransmit, len(self.table) + 1)
        )
        if updates:
            if isinstance(message, PingRequest):
                message = PingRequest(message.number, message.target, message.nack, updates)
            else:
                message = type(message)(message.number, updates)
        self._send.append(Send(peer, message))

    def _told_first(self, peer: NodeId) -> tuple[Update, ...]:
        """Lifeguard's buddy system: whoever speaks to a suspect tells it so, that it may refute soon. A dead
        member that can be spoken to is told in any case; nobody else would."""
        row = self.table.rows.get(peer)
        if row is None or row.status is Status.ALIVE:
            return ()
        if row.status is Status.SUSPECT and not self.options.buddy:
            return ()
        return (Update(peer, row.status, row.incarnation, self.node),)

    # -- news (SWIM 4.1, 4.2; Lifeguard LHA-Suspicion)

    def _hear(self, now_ns: int, sender: NodeId, update: Update) -> None:
        if update.incarnation >= MAX_INCARNATION:
            self.drop("an incarnation beyond refutation", sender)
        elif update.node == self.node:
            self._hear_of_self(update)
        elif update.node in self.table.rows or self._introduced(now_ns, update):
            self._learn(now_ns, update)

    def _old(self, update: Update, row: Row) -> bool:
        """Neither newer than what is held nor a suspicion that would confirm it, as most news is."""
        if update.incarnation != row.incarnation:
            return update.incarnation < row.incarnation
        if update.status != row.status or row.status is not Status.SUSPECT:
            return update.status <= row.status
        return not self._suspicions[update.node].news(update.source)

    def _hear_of_self(self, update: Update) -> None:
        if update.status == Status.ALIVE:
            # What an earlier life of this node refuted is still remembered by others.
            self.incarnation = max(self.incarnation, update.incarnation)
        elif update.incarnation >= self.incarnation and not self.left:
            self._refute(update)

    def _refute(self, update: Update) -> None:
        """Only the node itself gives out its incarnations (SWIM 4.2)."""
        self.incarnation = update.incarnation + 1
        self.news.add(Update(self.node, Status.ALIVE, self.incarnation, self.node))
        self.health.worse()
        self.note("refuted", incarnation=self.incarnation, source=update.source)

    def _learn(self, now_ns: int, update: Update) -> None:
        node, status = update.node, Status(update.status)
        held = self._suspicions.get(node)
        if not self.table.apply(node, status, update.incarnation):
            same = held is not None and status is Status.SUSPECT and held.incarnation == update.incarnation
            if same and held is not None and held.confirm(update.source):
                heapq.heappush(self._trials, (held.expires_ns, node))
                self.news.add(update)
            return
        self._suspicions.pop(node, None)
        if status is Status.SUSPECT:
            living = len(self.table) + 1 - self.table.dead
            trial = Suspicion(self.options, now_ns, update.incarnation, update.source, living)
            self._suspicions[node] = trial
            heapq.heappush(self._trials, (trial.expires_ns, node))
        self._tidy_trials()
        self.news.add(update)
        self._change(node, status, update.incarnation)

    def _tidy_trials(self) -> None:
        if len(self._trials) > 8 * len(self._suspicions) + 64:
            self._trials = [(trial.expires_ns, node) for node, trial in self._suspicions.items()]
            heapq.heapify(self._trials)

    # -- members

    def _introduced(self, now_ns: int, update: Update) -> bool:
        return update.status != Status.DEAD and self._welcome(now_ns, update.node)

    def _welcome(self, now_ns: int, node: NodeId) -> bool:
        """A stranger: a member from now on in an open group that is not full."""
        if not self.options.open_group or node == self.node or len(self.table) >= self.options.max_members:
            return False
        self.admit(now_ns, node)
        self.news.add(Update(node, Status.ALIVE, 0, self.node))
        self._change(node, Status.ALIVE, 0)
        return True

    def admit(self, now_ns: int, node: NodeId) -> None:
        if node == self.node or node in self.table.rows:
            return
        if len(self.table) >= self.options.max_members:
            raise ValueError(f"node {node} would be member {len(self.table) + 1}: raise max_members")
        self.table.admit(node)

    def remove(self, now_ns: int, node: NodeId) -> None:
        if node not in self.table.rows:
            return
        self.table.remove(node)
        self.news.forget(node)
        self._suspicions.pop(node, None)
        if self.probe is not None and self.probe.target == node:
            self.probe = None
        for number, relay in list(self._relays.items()):
            if node in (relay.origin, relay.target):
                del self._relays[number]
        self._schedule()

    @property
    def members(self) -> tuple[NodeId, ...]:
        return tuple(sorted(self.table.rows))

    # -- answers

    def state(self, node: NodeId) -> Status:
        if node == self.node:
            return Status.ALIVE
        row = self.table.rows.get(node)
        return Status.DEAD if row is None else row.status

    def level(self, now_ns: int, node: NodeId) -> float:
        state = self.state(node)
        if state is Status.ALIVE:
            asking = self.probe is not None and self.probe.target == node and bool(self.probe.asked)
            return 0.5 if asking and self.probe is not None and not self.probe.acknowledged else 0.0
        trial = self._suspicions.get(node)
        if trial is None:
            return 2.0
        return 1 + min(0.999, (now_ns - trial.since_ns) / (trial.expires_ns - trial.since_ns))

    def suspects(self, now_ns: int) -> tuple[NodeId, ...]:
        return tuple(sorted(node for node, row in self.table.rows.items() if row.status is not Status.ALIVE))

    def check(self) -> None:
        rows = self.table.rows
        if self.node in rows:
            raise self._broken("it is its own member")
        for node, row in rows.items():
            trial = self._suspicions.get(node)
            if (trial is not None) is not (row.status is Status.SUSPECT):
                raise self._broken(f"node {node} is {row.status.name}, on trial: {trial is not None}")
            if trial is not None and trial.incarnation != row.incarnation:
                raise self._broken(f"node {node} is on trial for {trial.incarnation}, is {row.incarnation}")
            if trial is not None and (trial.expires_ns, node) not in self._trials:
                raise self._broken(f"the trial of node {node} would never end")
        if self.table.dead != sum(row.status is Status.DEAD for row in rows.values()):
            raise self._broken(f"{self.table.dead} dead are counted")
        for update in self.news.updates():
            held = rows.get(update.node)
            known = update.node == self.node and update.incarnation <= self.incarnation
            if not known and (held is None or held.incarnation != update.incarnation):
                raise self._broken(f"it spreads {update} and does not hold it")
        if not 0 <= self.health.score <= self.health.most:
            raise self._broken(f"its health score is {self.health.score}")
        if len(self._relays) > self.options.max_relays or len(rows) > self.options.max_members:
            raise self._broken("it holds more than it may")

    def status(self) -> Mapping[str, Any]:
        return {
            "kind": "swim",
            "incarnation": self.incarnation,
            "health": self.health.score,
            "dropped": self.dropped,
            "news": len(self.news),
            "members": {
                str(node): {"status": row.status.name.lower(), "incarnation": row.incarnation}
                for node, row in sorted(self.table.rows.items())
            },
        }
