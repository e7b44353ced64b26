"""News that rides on pings and acks (SWIM 4.1): each piece a bounded number of times, the youngest first."""

from __future__ import annotations

import functools
import math

import msgspec

from comity.detectors.detector import Status
from comity.detectors.messages import MAX_UPDATES, Update
from comity.replica import NodeId

LEAST = 5
"""Bytes of the smallest update there is."""

_encode = msgspec.msgpack.Encoder().encode
_Key = tuple[NodeId, NodeId]
"""Member and source."""


@functools.lru_cache(maxsize=4096)
def times_to_send(retransmit: int, members: int) -> int:
    """Lambda * ln(members + 1), rounded up: with high probability everyone has then heard (SWIM 4.1)."""
    return max(1, math.ceil(round(retransmit * math.log(members + 1), 6)))


class News:
    """The buffer of updates: at most one for each member and source, dropped when something newer is known
    of the member. What was sent least goes first, so fresh news overtakes old."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._rows: list[dict[_Key, tuple[Update, int]]] = [{}]
        self._sent: dict[NodeId, dict[NodeId, int]] = {}

    def __len__(self) -> int:
        return sum(len(row) for row in self._rows)

    def add(self, update: Update) -> None:
        """Take up an update that changed what this node knows. Other suspicions of the same incarnation
        stay: that they are several is what they have to say."""
        sources = self._sent.get(update.node)
        if sources:
            for source in list(sources):
                held, _ = self._rows[sources[source]][update.node, source]
                same = held.status == update.status == Status.SUSPECT
                if not same or held.incarnation != update.incarnation or source == update.source:
                    self._discard(update.node, source)
        self._rows[0][update.node, update.source] = (update, size(update))
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
        told = [(update.node, update.source) for update in first]
        moved: list[tuple[int, _Key]] = []
        for sent, row in enumerate(self._rows):
            if room < LEAST or len(chosen) >= MAX_UPDATES:
                break
            for key, (update, needed) in row.items():
                if needed <= room and key not in told:
                    chosen.append(update)
                    moved.append((sent, key))
                    room -= needed
                    if room < LEAST or len(chosen) >= MAX_UPDATES:
                        break
        for sent, key in moved:
            self._move(sent, key, times)
        return tuple(chosen)

    def _move(self, sent: int, key: _Key, times: int) -> None:
        if sent + 1 >= times:
            self._discard(*key)
            return
        if sent + 1 == len(self._rows):
            self._rows.append({})
        self._rows[sent + 1][key] = self._rows[sent].pop(key)
        self._sent[key[0]][key[1]] = sent + 1

    def _discard(self, node: NodeId, source: NodeId) -> None:
        sources = self._sent[node]
        del self._rows[sources.pop(source)][node, source]
        if not sources:
            del self._sent[node]

    def updates(self) -> tuple[Update, ...]:
        """All that is held, the least sent first."""
        return tuple(update for row in self._rows for update, _ in row.values())


def size(update: Update) -> int:
    """Bytes of an update on the wire."""
    return len(_encode(update))
