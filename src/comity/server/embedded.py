"""`comity.open(path)`: one node inside the caller's process, with the directory and engine of a served one.

The node runs on an event loop in a thread of its own. A command goes the same way as that of a
network client (log, fsync, apply), so what `execute` returned is as durable as with `comity serve`,
and the directory can be served later.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any

import hiredis

from comity.keyspaces.definition import ACTIVE
from comity.server.clients import Loopback
from comity.server.errors import SettingsError, StartError
from comity.server.node import Node
from comity.server.settings import load

if TYPE_CHECKING:
    from comity.node import Host

Argument = bytes | str | int | float
Command = Sequence[Argument]

READY_TIMEOUT_S = 30.0
_SESSION_COMMANDS = frozenset({b"MULTI", b"EXEC", b"DISCARD", b"WATCH", b"UNWATCH"})
_CONNECTION_COMMANDS = frozenset({b"HELLO", b"RESET", b"QUIT"})


class CommandError(Exception):
    """The store refused a command; nothing of it happened. prefix: its first word, such as WRONGTYPE."""

    def __init__(self, text: str) -> None:
        self.prefix = text.partition(" ")[0]
        super().__init__(text)


class IndeterminateError(CommandError):
    """It cannot be known whether the command happened; read before repeating it."""


class ClosedError(CommandError):
    """The store was closed before the command was given; nothing of it happened."""


def _error_of(text: str) -> CommandError:
    return IndeterminateError(text) if text.startswith("INDETERMINATE") else CommandError(text)


class Session:
    """One connection's worth of state in an embedded node: MULTI, WATCH, COMITY.CONSISTENCY are its own.

    Commands of a session are carried out in the order in which they were given. Any thread may use it.
    """

    def __init__(self, store: Embedded) -> None:
        self._store = store
        self._reader = hiredis.Reader(replyError=_error_of)
        self._waiting: deque[tuple[int, list[Any], Future[list[Any]]]] = deque()
        self._loopback: Loopback | None = None

    def execute(self, *command: Argument) -> Any:
        """One command; its answer as a Python value (bytes, int, None, list, dict ...).

        Raises `CommandError` where it was refused and `IndeterminateError` where that cannot be known.
        """
        return _one(self.submit([command]).result()[0])

    async def aexecute(self, *command: Argument) -> Any:
        """`execute` for a caller on an event loop of its own."""
        return _one((await asyncio.wrap_future(self.submit([command])))[0])

    def submit(self, commands: Iterable[Command]) -> Future[list[Any]]:
        """Send commands together; a future of their answers. Errors are among the answers, not raised."""
        encoded = [_encode(command) for command in commands]
        future: Future[list[Any]] = Future()
        future.set_running_or_notify_cancel()  # A command given cannot be taken back.
        if not encoded:
            future.set_result([])
            return future
        self._store.outstanding.add(future)
        future.add_done_callback(self._store.outstanding.discard)
        self._store.call(self._send, b"".join(encoded), len(encoded), future)
        return future

    def close(self) -> None:
        """End the session; a transaction that was not executed is forgotten."""
        self._store.call(self.leave)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- on the loop

    def _send(self, data: bytes, count: int, future: Future[list[Any]]) -> None:
        reason = self._store.over
        if reason is not None:
            future.set_exception(reason)
            return
        if self._loopback is None:
            assert self._store.node.shell is not None
            self._loopback = self._store.node.shell.clients.loopback(self._received)
            self._store.sessions.add(self)
        self._waiting.append((count, [], future))
        self._loopback.send(data)

    def _received(self, data: bytes) -> None:
        self._reader.feed(data)
        while self._waiting:
            count, answers, future = self._waiting[0]
            while len(answers) < count:
                answer = self._reader.gets()
                if answer is False:
                    return
                answers.append(answer)
            self._waiting.popleft()
            future.set_result(answers)

    def leave(self) -> None:
        """Leave the node; what was not answered is indeterminate."""
        self._store.sessions.discard(self)
        if self._loopback is not None:
            self._loopback.close()
            self._loopback = None
        while self._waiting:
            self._waiting.popleft()[2].set_exception(
                IndeterminateError("INDETERMINATE the store was closed before the outcome was known")
            )


class Embedded:
    """An open store. Thread-safe; a context manager; see `open`."""

    def __init__(self, path: str, settings: Mapping[str, Any]) -> None:
        loaded = load(None, {"data": path, "admin": "", **settings}, {})
        self.path = path
        self.node = Node(loaded, _note)
        self.over: CommandError | None = None
        """Why commands are no longer taken."""
        self.sessions: set[Session] = set()
        self.outstanding: set[Future[list[Any]]] = set()
        self._closing = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._ready: Future[None] = Future()
        self._shared = Session(self)
        self._thread = threading.Thread(target=self._run, name="comity", daemon=True)
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self.close()
            raise
        atexit.register(self.close)

    # -- commands

    def execute(self, *command: Argument) -> Any:
        """One command; see `Session.execute`. Its answer is durable when this returns."""
        _refuse_stateful(command)
        return self._shared.execute(*command)

    async def aexecute(self, *command: Argument) -> Any:
        """`execute` for a caller on an event loop of its own."""
        _refuse_stateful(command)
        return await self._shared.aexecute(*command)

    def execute_many(
        self, commands: Iterable[Command], *, atomic: bool = False, errors: bool = False
    ) -> list[Any]:
        """Commands sent together, which is much faster than one by one; their answers in order.

        atomic: as one transaction, all at one moment. errors: return errors among the answers
        instead of raising the first (the others are carried out in any case).
        """
        given = [tuple(command) for command in commands]
        for command in given:
            _refuse_stateful(command)
        if atomic and given:
            answers = self._shared.submit([("MULTI",), *given, ("EXEC",)]).result()
            result = answers[-1]
            if isinstance(result, CommandError):
                # EXECABORT says only that some command was bad; its own error says which and why.
                raise next((answer for answer in answers[1:-1] if isinstance(answer, CommandError)), result)
        else:
            result = self._shared.submit(given).result()
        if not errors:
            for answer in result:
                _one(answer)
        return list(result)

    def session(self) -> Session:
        """A session with state of its own, for MULTI, WATCH and consistency levels."""
        return Session(self)

    def get(self, key: Argument) -> bytes | None:
        """The value of a key, None where there is none."""
        value: bytes | None = self._shared.execute("GET", key)
        return value

    def set(self, key: Argument, value: Argument, *, expire_ms: int | None = None) -> None:
        """Set a key, for `expire_ms` milliseconds or for ever."""
        if expire_ms is None:
            self._shared.execute("SET", key, value)
        else:
            self._shared.execute("SET", key, value, "PX", expire_ms)

    def delete(self, *keys: Argument) -> int:
        """Delete keys; how many there were."""
        return int(self._shared.execute("DEL", *keys)) if keys else 0

    def incr(self, key: Argument, by: int = 1) -> int:
        """Add to an integer; the sum."""
        return int(self._shared.execute("INCRBY", key, by))

    def expire(self, key: Argument, milliseconds: int) -> bool:
        """Have a key expire; False where there is none."""
        return bool(self._shared.execute("PEXPIRE", key, milliseconds))

    # -- keyspaces

    def create_keyspace(
        self,
        name: str,
        replication: str = "raft",
        *,
        consistency: str | None = None,
        replicas: int | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        """Have keys that begin with "name:" replicated in a way of their own: KEYSPACE CREATE.

        consistency: what it gives unless asked for less; the strongest level of the protocol if left out.
        options: of the protocol. Raises `CommandError` with the reason where it cannot be.
        """
        words: list[Argument] = ["REPLICATION", replication]
        if consistency is not None:
            words += ["CONSISTENCY", consistency]
        if replicas is not None:
            words += ["REPLICAS", replicas]
        for option, value in (options or {}).items():
            words += ["OPTION", option, str(value).lower() if isinstance(value, bool) else str(value)]
        self.execute("KEYSPACE", "CREATE", name, *words)

    def drop_keyspace(self, name: str) -> None:
        """Delete a keyspace with everything in it: KEYSPACE DROP."""
        self.execute("KEYSPACE", "DROP", name)

    def keyspaces(self) -> list[dict[str, str]]:
        """name, replication, level and state of each keyspace, `default` first: KEYSPACE LIST."""
        columns = ("name", "replication", "level", "state")
        rows = self.execute("KEYSPACE", "LIST")
        return [dict(zip(columns, map(bytes.decode, row), strict=True)) for row in rows]

    def explain(self, name: str) -> dict[str, Any]:
        """What a keyspace promises: KEYSPACE EXPLAIN name JSON, as values. See `comity explain --json`."""
        found: dict[str, Any] = json.loads(self.execute("KEYSPACE", "EXPLAIN", name, "JSON"))
        return found

    # -- life

    @property
    def closed(self) -> bool:
        """Whether commands are no longer taken."""
        return self.over is not None

    def close(self) -> None:
        """Make the state durable, let go of the directory and end the thread. Closing twice does nothing."""
        with self._closing:
            loop, ended = self._loop, self._ended
            if loop is not None and ended is not None and not loop.is_closed():
                with contextlib.suppress(RuntimeError):  # It ended just now.
                    loop.call_soon_threadsafe(ended.set)
            if threading.current_thread() is not self._thread:
                self._thread.join()
                atexit.unregister(self.close)

    def __enter__(self) -> Embedded:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(self, function: Any, *arguments: Any) -> None:
        """Call something on the node's loop, soon."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # The loop is closed.
            function(*arguments)

    # -- the thread

    def _run(self) -> None:
        import uvloop

        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._main())
        except BaseException as error:  # noqa: BLE001 - the caller's thread is told
            if not self._ready.done():
                self._ready.set_exception(error)
            else:
                _LOG.exception("the embedded node failed")
        finally:
            self.over = self.over or _closed()
            # What reached the loop after its last round; from here on `call` finds it closed.
            for future in list(self.outstanding):
                if not future.done():
                    future.set_exception(self.over)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        node = self.node
        try:
            shell = await node.open(listen=False)
            await asyncio.wait_for(node.serving(), READY_TIMEOUT_S)
            await asyncio.wait_for(_keyspaces_of_settings(shell.host), READY_TIMEOUT_S)
            self._ready.set_result(None)
            failed = self._loop.create_task(shell.ended.wait())
            closed = self._loop.create_task(self._ended.wait())
            await asyncio.wait((failed, closed), return_when=asyncio.FIRST_COMPLETED)
            if shell.fatal is not None:
                self.over = CommandError(f"FAILED the embedded node failed: {shell.fatal}: nothing was done")
            else:
                self.over = _closed()
                await node.stop()
            failed.cancel()
            closed.cancel()
        except TimeoutError:
            reason = node.shell.host.health()[1] if node.shell is not None else "not started"
            raise StartError(
                f"the store in {self.path} does not serve after {READY_TIMEOUT_S:g} s: {reason}",
                "if the directory was a cluster's, start that cluster instead",
            ) from None
        finally:
            for session in list(self.sessions):
                session.leave()
            await node.close()


async def _keyspaces_of_settings(host: Host) -> None:
    """Wait until the keyspaces of the settings are there. Raises `SettingsError` for one that is another."""
    while not host.keyspaces.ready:
        await asyncio.sleep(0.002)
    while True:
        settled = host.keyspaces.wanted.status()
        for name, found in settled.items():
            if found["error"]:
                raise SettingsError(f"keyspace {name!r} of the settings: {found['error']}")
        if all(found["state"] == ACTIVE for found in settled.values()):
            return
        await asyncio.sleep(0.002)


_LOG = logging.getLogger("comity")


def _note(event: str, **fields: Any) -> None:
    error = fields.pop("exc_info", None)
    level = logging.ERROR if "failed" in event else logging.INFO
    if _LOG.isEnabledFor(level):
        text = " ".join(f"{name}={value}" for name, value in fields.items())
        _LOG.log(level, "%s %s", event, text, exc_info=error)


def _closed() -> ClosedError:
    return ClosedError("CLOSED the store is closed: nothing was done")


def _one(answer: Any) -> Any:
    if isinstance(answer, CommandError):
        raise answer
    return answer


def _refuse_stateful(command: Command) -> None:
    name = _bytes(command[0]).upper() if command else b""
    if name in _SESSION_COMMANDS:
        raise ValueError(f"{name.decode()} needs a session of its own: use store.session(), or atomic=True")
    if name in _CONNECTION_COMMANDS:
        raise ValueError(f"{name.decode()} is about a network connection; there is none here")


def _bytes(argument: Argument) -> bytes:
    if isinstance(argument, bytes):
        return argument
    if isinstance(argument, str):
        return argument.encode()
    if isinstance(argument, (int, float)) and not isinstance(argument, bool):
        return repr(argument).encode()
    raise TypeError(f"{argument!r} is not bytes, str, int or float")


def _encode(command: Command) -> bytes:
    if not command:
        raise ValueError("a command needs a name")
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        data = _bytes(argument)
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


def open(path: str, **settings: Any) -> Embedded:  # noqa: A001 - comity.open, as one opens a file
    """Open the store in a directory, which is created where it does not exist.

    settings: those of `comity serve` that make sense without ports (engine, cache_bytes, cluster,
    node, keyspaces, keyspace, bounds, raft). Raises `StartError` when the directory is in use, foreign or
    corrupt, or a setting cannot be used.
    """
    return Embedded(str(path), settings)
