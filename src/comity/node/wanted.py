"""Keyspaces that a node's settings name: the leader of the control group creates those that are missing.

Settings are read once, when a node starts, and so they are looked at once: a keyspace that this node has
seen in the catalogue since is settled, and may be changed or dropped by command. Until then its keys are
refused here, or they would go to `default` and be out of reach once it is created.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.formats import resp
from comity.keyspaces.creation import Edit, contradiction, creation
from comity.keyspaces.definition import CLOSING, Catalogue, KeyspaceError
from comity.node.config import MILLISECOND_NS
from comity.replica import NEVER

if TYPE_CHECKING:
    from comity.node.keyspaces import Keyspaces

AGAIN_NS = 1000 * MILLISECOND_NS
"""Between two attempts: what is missing, such as members, may come."""


class Wanted:
    """What the settings of one host ask for. missing: names not seen in the catalogue yet. errors: by name,
    why a keyspace is not, or not what is asked for."""

    def __init__(self, keyspaces: Keyspaces) -> None:
        self.keyspaces = keyspaces
        self.host = keyspaces.host
        self.wishes = {wish.name: wish for wish in self.host.config.wanted}
        self.missing: dict[bytes, None] = dict.fromkeys(name.encode() for name in self.wishes)
        self.errors: dict[str, str] = {}
        self._queue: list[str] = []
        self._trying = False
        self._again_ns = 0

    @property
    def due_ns(self) -> int:
        """When `consider` wants to be called although nothing else happens."""
        if not self.missing or self._trying or not self._may:
            return NEVER
        return self.host.now_ns if self._queue else self._again_ns

    @property
    def _may(self) -> bool:
        return self.keyspaces.ready and self.host.default.leads

    @property
    def closed(self) -> str:
        """Why keys of keyspaces that are missing are refused."""
        names = ", ".join(name.decode() for name in self.missing)
        return f"TRYAGAIN the settings name keyspaces that are not created yet: {names}; see COMITY.STATUS"

    def settle(self) -> None:
        """Compare with the catalogue of now, which is not an old one."""
        for name in [name.decode() for name in self.missing]:
            found = self.keyspaces.catalogue.keyspaces.get(name)
            if found is None or found.state == CLOSING:
                continue
            del self.missing[name.encode()]
            reason = contradiction(self.host.protocols, found, self.wishes[name])
            self.errors.pop(name, None)
            if reason:
                self._failed(
                    name, f"it {reason}; nothing was changed: see KEYSPACE ALTER, or change the settings"
                )

    def consider(self) -> None:
        """Create the next one that is missing, if it is on this node to do so."""
        host = self.host
        if not self.missing or self._trying or not self._may:
            return
        if not self._queue:
            if host.now_ns < self._again_ns:
                return
            self._again_ns = host.now_ns + AGAIN_NS
            self._queue = [name.decode() for name in self.missing]
        if host.dispatcher.refusal(host.default, write=True) is not None:
            self._queue.clear()
            return
        name = self._queue.pop(0)
        if name.encode() in self.missing:
            self._create(name)

    def _create(self, name: str) -> None:
        host = self.host
        try:
            edit = unless_there(
                name, creation(host.protocols, host.default.core.members.voters, self.wishes[name])
            )
        except KeyspaceError as error:
            self._failed(name, str(error))
            return

        def holds(catalogue: Catalogue) -> bool:
            return name in catalogue.keyspaces

        def done(reply: bytes) -> None:
            self._trying = False
            if reply != resp.OK and name.encode() in self.missing:
                self._failed(name, reply[1:].strip().decode("utf-8", "replace").removeprefix("ERR "))

        self._trying = True
        self.keyspaces.change(edit, f"keyspace '{name}'", holds, done)

    def _failed(self, name: str, reason: str) -> None:
        if self.errors.get(name) != reason:
            self.errors[name] = reason
            self.host.note("keyspace of the settings failed", keyspace=name, reason=reason)

    def status(self) -> dict[str, dict[str, str]]:
        """For /status: what became of each keyspace of the settings."""
        said = {}
        for name in self.wishes:
            found = self.keyspaces.catalogue.keyspaces.get(name)
            said[name] = {
                "state": found.state if found is not None else "missing",
                "replication": found.replication if found is not None else "",
                "level": found.level if found is not None else "",
                "error": self.errors.get(name, ""),
            }
        return said


def unless_there(name: str, edit: Edit) -> Edit:
    """The same change where there is no such keyspace, none where there is."""

    def careful(catalogue: Catalogue) -> Catalogue:
        found = catalogue.keyspaces.get(name)
        if found is None:
            return edit(catalogue)
        if found.state == CLOSING:
            raise KeyspaceError("it is being dropped")
        return catalogue

    return careful
