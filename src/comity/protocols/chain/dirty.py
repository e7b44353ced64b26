"""Which keys have a version here that is not known to be committed (CRAQ, section 2.3).

A version is an entry of the log that may change the key. CRAQ keeps the dirty versions of an object in a
list; here they are the log's own entries, and what is kept is the newest one of each key.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection

KeysOf = Callable[[bytes], Collection[bytes] | None]


class DirtyKeys:
    """Entries are added in index order; `clean` and `truncate` take them away from either end.

    newest: the index of the last entry that may change anything, 0 for none.
    """

    __slots__ = ("_any", "_entries", "_keys", "_keys_of")

    def __init__(self, keys_of: KeysOf) -> None:
        self._keys_of = keys_of
        self._entries: deque[tuple[int, tuple[bytes, ...] | None]] = deque()
        self._keys: dict[bytes, int] = {}
        self._any = 0

    def add(self, index: int, payload: bytes) -> None:
        """A command at an index, higher than all before."""
        keys = self._keys_of(payload)
        if keys is None:
            self._entries.append((index, None))
            self._any = index
            return
        if keys:
            self._entries.append((index, tuple(keys)))
            for key in keys:
                self._keys[key] = index

    def clean(self, commit: int) -> None:
        """Everything up to `commit` is committed."""
        entries = self._entries
        newest = self._keys
        while entries and entries[0][0] <= commit:
            index, keys = entries.popleft()
            for key in keys or ():
                if newest.get(key) == index:
                    del newest[key]
        if self._any <= commit:
            self._any = 0

    def truncate(self, index: int) -> None:
        """The entry at `index` and all after it are gone."""
        entries = self._entries
        while entries and entries[-1][0] >= index:
            entries.pop()
        self._keys.clear()
        self._any = 0
        for position, keys in entries:
            if keys is None:
                self._any = position
            for key in keys or ():
                self._keys[key] = position

    @property
    def newest(self) -> int:
        """The index of the last dirty entry, 0 for none."""
        return self._entries[-1][0] if self._entries else 0

    def touches(self, keys: Collection[bytes] | None) -> bool:
        """Whether any of these keys has a dirty version; None: any key at all."""
        if not self._entries:
            return False
        if keys is None or self._any:
            return True
        dirty = self._keys
        return any(key in dirty for key in keys)

    def __len__(self) -> int:
        """How many dirty entries there are."""
        return len(self._entries)
