"""What is chosen is told to the other acceptors, which may then answer reads of sessions from it."""

from __future__ import annotations

from comity.protocols.paxos.accepting import Accepting
from comity.protocols.paxos.ballots import Ballot
from comity.protocols.paxos.messages import Learn
from comity.protocols.paxos.options import PaxosOptions
from comity.protocols.paxos.state import Timed
from comity.replica import Cells, CoreContext, RegisterSemantics

LEARN_BYTES = 16
"""Of a key that is chosen, beside the key itself."""


class LearnTimer(Timed):
    """Chosen ballots are to be told."""

    __slots__ = ()


class Telling(Accepting):
    """Ballots known to be chosen, for learners elsewhere ("Paxos Made Simple", 2.3)."""

    def __init__(
        self, context: CoreContext, options: PaxosOptions, cells: Cells, semantics: RegisterSemantics
    ) -> None:
        super().__init__(context, options, cells, semantics)
        self.learns: dict[bytes, int] = {}
        """Of keys whose acceptors are to be told, the counter of the own ballot chosen last."""
        self.learn_timer = LearnTimer()
        self.fire[LearnTimer] = self.learn_due

    def tell_chosen(self, now_ns: int, key: bytes, ballot: Ballot) -> None:
        """Other acceptors may serve reads of this session's kind from it; no hurry."""
        if not self.peers:
            return
        self.learns[key] = ballot[0]
        if len(self.learns) >= self.options.max_message_items:
            self.learn_due(now_ns, self.learn_timer)
        elif len(self.learns) == 1:
            self.arm(self.learn_timer, now_ns + self.options.learn_ns)

    def flush(self, now_ns: int) -> None:
        """What is chosen travels with what is asked anyway, where there is such."""
        if self.asks_to_all and self.learns:
            self.learn_due(now_ns, self.learn_timer)
        super().flush(now_ns)

    def learn_due(self, now_ns: int, timer: LearnTimer) -> None:
        """Tell all of it at once."""
        learns, self.learns = self.learns, {}
        keys: list[bytes] = []
        room = self.options.max_message_bytes
        for key in learns:
            if keys and len(key) > room:
                self.ask_everyone(now_ns, Learn(keys, [learns[key] for key in keys]))
                keys, room = [], self.options.max_message_bytes
            keys.append(key)
            room -= len(key) + LEARN_BYTES
        if keys:
            self.ask_everyone(now_ns, Learn(keys, [learns[key] for key in keys]))
        timer.due_ns = -1
