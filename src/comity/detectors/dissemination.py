"""News that rides on pings and acks (SWIM 4.1): each piece a bounded number of times, the youngest first."""

from __future__ import annotations

import functools
import math

import msgspec

from comity.detectors.detector import Status
from comity.detectors.messages import MAX_UPDATES, Update
from comity.replica import NodeId

_encode = msgspec.msgpack.Encoder().encode


@functools.lru_cache(maxsize=4096)
def times_to_send(retransmit: int, members: int) -> int:
    """Lambda * ln(members + 1), rounded up: with high probability everyone has then heard (SWIM 4.1)."""
    return max(1, math.ceil(round(retransmit * math.log(members + 1), 6)))


class News:
    """The buffer of updates: at most one for each member and source, dropped when something newer is known
    of the member. What was sent least goes first, so fresh news overtakes old."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._rows: list[dict[tuple[NodeId, NodeId], Update]] = [{}]
        self._sent: dict[NodeId, dict[NodeId, int]] = {}

    def __len__(self) -> int:
        return sum(len(row) for row in self._rows)

    def add(self, update: Update) -> None:
        """Take up an update that changed what this node knows. Other suspicions of the same incarnation
        stay: that they are several is what they have to say."""
        sources = self._sent.get(update.node)
        if sources:
            for source in list(sources):
                held = self._rows[sources[source]][update.node, source]
                same = held.status == update.status == Status.SUSPECT
                if not same or held.incarnation != update.incarnation or source == update.source:
                    self._discard(update.node, source)
        self._rows[0][update.node, update.source] = update
        self._sent.setdefault(update.node, {})[update.source] = 0

    def forget(self, node: NodeId) -> None:
        """Nothing more about this member."""
        for source in list(self._sent.get(node, ())):
            self._discard(node, source)

    def pick(self, first: tuple[Update, ...], times: int) -> tuple[Update, ...]:
        """The updates of one message: `first` ones whatever was sent before, then the least sent ones, within
        `max_bytes`. Each of the others counts as sent; sent `times` times it is dropped."""
        if not first and not self._sent:
            return ()
        chosen = list(first)
        room = self.max_bytes - sum(size(update) for update in first)
        told = {(update.node, update.source) for update in first}
        moved: list[tuple[int, tuple[NodeId, NodeId], Update]] = []
        for sent, row in enumerate(self._rows):
            for key, update in row.items():
                # The smallest update there is takes 5 bytes.
                if room < 5 or len(chosen) >= MAX_UPDATES:
                    break
                needed = size(update)
                if needed <= room and key not in told:
                    chosen.append(update)
                    moved.append((sent, key, update))
                    room -= needed
            else:
                continue
            break
        for sent, key, update in moved:
            self._move(sent, key, update, times)
        return tuple(chosen)

    def _move(self, sent: int, key: tuple[NodeId, NodeId], update: Update, times: int) -> None:
        if sent + 1 >= times:
            self._discard(*key)
            return
        del self._rows[sent][key]
        if sent + 1 == len(self._rows):
            self._rows.append({})
        self._rows[sent + 1][key] = update
        self._sent[key[0]][key[1]] = sent + 1

    def _discard(self, node: NodeId, source: NodeId) -> None:
        sources = self._sent[node]
        del self._rows[sources.pop(source)][node, source]
        if not sources:
            del self._sent[node]

    def updates(self) -> tuple[Update, ...]:
        """All that is held, the least sent first."""
        return tuple(update for row in self._rows for update in row.values())


@functools.lru_cache(maxsize=8192)
def size(update: Update) -> int:
    """Bytes of an update on the wire."""
    return len(_encode(update))
