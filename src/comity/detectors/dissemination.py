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


class Item:
    """An update, its bytes on the wire, and how often it was sent."""

    __slots__ = ("sent", "size", "update")

    def __init__(self, update: Update) -> None:
        self.update = update
        self.size = size(update)
        self.sent = 0


class News:
    """The buffer of updates: at most one for each member and source, dropped when something newer is known
    of the member. What was sent least goes first, so fresh news overtakes old."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._rows: list[dict[_Key, Item]] = [{}]
        """What was sent 0, 1, 2, ... times, in the order in which it came to be so."""
        self._items: dict[NodeId, dict[NodeId, Item]] = {}

    def __len__(self) -> int:
        return sum(len(row) for row in self._rows)

    def add(self, update: Update) -> None:
        """Take up an update that changed what this node knows. Other suspicions of the same incarnation
        stay: that they are several is what they have to say."""
        for source, item in list(self._items.get(update.node, {}).items()):
            held = item.update
            same = held.status == update.status == Status.SUSPECT
            if not same or held.incarnation != update.incarnation or source == update.source:
                self._discard(update.node, source)
        item = Item(update)
        self._rows[0][update.node, update.source] = item
        self._items.setdefault(update.node, {})[update.source] = item

    def forget(self, node: NodeId) -> None:
        """Nothing more about this member."""
        for source in list(self._items.get(node, ())):
            self._discard(node, source)

    def pick(self, first: tuple[Update, ...], times: int) -> tuple[Update, ...]:
        """The updates of one message: `first` ones whatever was sent before, then the least sent ones, within
        `max_bytes`. Each of the others counts as sent; sent `times` times it is dropped."""
        if not first and not self._items:
            return ()
        chosen = list(first)
        room = self.max_bytes - sum(size(update) for update in first)
        told = [(update.node, update.source) for update in first]
        moved: list[_Key] = []
        for row in self._rows:
            if room < LEAST or len(chosen) >= MAX_UPDATES:
                break
            for key, item in row.items():
                if item.size <= room and key not in told:
                    chosen.append(item.update)
                    moved.append(key)
                    room -= item.size
                    if room < LEAST or len(chosen) >= MAX_UPDATES:
                        break
        for key in moved:
            self._sent(key, times)
        return tuple(chosen)

    def _sent(self, key: _Key, times: int) -> None:
        item = self._items[key[0]][key[1]]
        del self._rows[item.sent][key]
        item.sent += 1
        if item.sent < times:
            if item.sent == len(self._rows):
                self._rows.append({})
            self._rows[item.sent][key] = item
        else:
            self._drop(*key)

    def _discard(self, node: NodeId, source: NodeId) -> None:
        del self._rows[self._items[node][source].sent][node, source]
        self._drop(node, source)

    def _drop(self, node: NodeId, source: NodeId) -> None:
        items = self._items[node]
        del items[source]
        if not items:
            del self._items[node]

    def updates(self) -> tuple[Update, ...]:
        """All that is held, the least sent first."""
        return tuple(item.update for row in self._rows for item in row.values())


def size(update: Update) -> int:
    """Bytes of an update on the wire."""
    return len(_encode(update))
