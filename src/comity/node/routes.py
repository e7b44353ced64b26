"""Which way a command goes: through the log, as a read, or answered on the spot."""

from __future__ import annotations

from comity.store.table import TABLE, Command

ROUTE_LOG = 0
ROUTE_READ = 1
ROUTE_HERE = 2


class Route:
    """A command of the table with what the dispatcher asks of it, ready to hand."""

    __slots__ = ("calls", "command", "first_key", "kind", "least", "most", "name", "only_first")

    def __init__(self, command: Command) -> None:
        self.command = command
        self.name = command.name.decode().lower()
        self.least = abs(command.arity)
        self.most = command.arity if command.arity > 0 else 1 << 62
        self.first_key = command.first_key
        self.only_first = command.first_key > 0 and command.last_key == command.first_key
        self.calls = 0
        if "connection" in command.flags:
            self.kind = ROUTE_HERE
        elif "write" in command.flags or "timed" in command.flags:
            self.kind = ROUTE_LOG
        else:
            self.kind = ROUTE_READ


class Routes:
    """All routes of one host, found by the bytes a client sent."""

    def __init__(self) -> None:
        self.by_name = {
            name: Route(command) for name, command in TABLE.items() if "internal" not in command.flags
        }
        self._seen: dict[bytes, Route] = dict(self.by_name)
        for name, route in self.by_name.items():
            self._seen[name.lower()] = route

    def find(self, name: bytes) -> Route | None:
        """The route of a command in any letter case; None if there is no such command."""
        route = self._seen.get(name)
        return route if route is not None else self.by_name.get(name.upper())
