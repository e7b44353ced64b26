"""Recording what any client does, and asking afterwards what it was promised.

with History.recording() as h:
with h.operation("write", "x", 1):
client.set("x", 1)
value = h.call("read", "x", None, lambda: client.get("x"))
h.assert_holds("register", "linearizable")
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from comity.checkers.errors import CheckerError
from comity.checkers.history import History
from comity.checkers.inputs import write_history
from comity.checkers.recorder import Recorder

if TYPE_CHECKING:
    from comity.checkers.analysis import Analysis
    from comity.checkers.semantics import Semantics

T = TypeVar("T")


class PromiseBroken(CheckerError, AssertionError):
    """A history does not have a model it should have; analysis: the whole answer."""

    def __init__(self, text: str, analysis: Analysis) -> None:
        super().__init__(text)
        self.analysis = analysis


class Method(NamedTuple):
    """How a client's method is an operation: its name in the history, and which arguments, by place, are
    the key and the value; None where there is none."""

    f: str
    key: int | None = 0
    value: int | None = None


class Pending:
    """An operation that is under way. Say `ok(result)` where it returns something."""

    def __init__(self, value: Any) -> None:
        self.result = value

    def ok(self, result: Any) -> None:
        """What it returned; without this an operation returns what it was asked with."""
        self.result = result


class Recording:
    """The history of whatever happens between `with` and its end, by any threads and tasks.

    Each thread, and each asyncio task, is a process. An operation that raises is of unknown outcome, and
    its process goes on under a new number, unless the exception is one of `definite`: those say that it
    certainly did not happen. limit: most operations that are recorded; more raise `CheckerError`.
    """

    def __init__(self, definite: tuple[type[BaseException], ...] = (), limit: int = 10_000_000) -> None:
        self.recorder = Recorder()
        self.definite = definite
        self._limit = limit
        self._count = 0
        self._began_ns = time.monotonic_ns()

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Recording never hides an exception."""

    async def __aenter__(self) -> Recording:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As the end of `with`."""

    # -- operations

    @contextmanager
    def operation(self, f: str, key: Any = None, value: Any = None) -> Iterator[Pending]:
        """One operation of this thread or task, from the beginning of the block to its end."""
        self._count += 1
        if self._count > self._limit:
            raise CheckerError(f"more than {self._limit} operations: record fewer, or raise the limit")
        recorder = self.recorder
        process = recorder.process_of(_who())
        recorder.invoke(process, f, key, value, time_ns=self._now())
        pending = Pending(value)
        try:
            yield pending
        except self.definite:
            recorder.fail(process, time_ns=self._now())
            raise
        except BaseException:
            recorder.info(process, time_ns=self._now())
            raise
        recorder.ok(process, pending.result, time_ns=self._now())

    def call(self, f: str, key: Any, value: Any, function: Callable[[], T]) -> T:
        """One operation that is a call; its result is the operation's."""
        with self.operation(f, key, value) as pending:
            result = function()
            pending.ok(result)
        return result

    async def acall(self, f: str, key: Any, value: Any, awaitable: Awaitable[T]) -> T:
        """One operation that is awaited."""
        with self.operation(f, key, value) as pending:
            result = await awaitable
            pending.ok(result)
        return result

    def wrap(self, client: Any, methods: Mapping[str, Method]) -> Any:
        """`client`, with these methods recorded; coroutine functions stay what they are. A method with a
        value, such as a write, is recorded as returning that value."""
        return _Wrapped(self, client, dict(methods))

    def fault(self, name: str, value: Any = None) -> None:
        """Something was done to the system; "quiesce" says that what is read from now on is final."""
        self.recorder.fault(name, value, time_ns=self._now())

    def _now(self) -> int:
        return time.monotonic_ns() - self._began_ns

    # -- answers

    @property
    def history(self) -> History:
        """What was recorded so far."""
        return self.recorder.history()

    def save(self, path: str | Path) -> None:
        """Write the history as JSON lines, for `comity check`."""
        write_history(self.history, path)

    def analyse(self, data_type: str, **options: Any) -> Analysis:
        """`comity.checkers.analyse` of what was recorded."""
        from comity.checkers.analysis import analyse

        return analyse(self.history, data_type, **options)

    def assert_holds(
        self, data_type: str, model: str = "linearizable", semantics: Semantics | None = None
    ) -> None:
        """Raise `PromiseBroken`, with the witness in words, unless the model holds."""
        analysis = self.analyse(data_type, models=[model], semantics=semantics)
        if analysis.exit_status:
            raise PromiseBroken(f"the history is not {model} ({analysis.explanation})", analysis)


class _Wrapped:
    """A client some of whose methods are recorded."""

    def __init__(self, recording: Recording, client: Any, methods: dict[str, Method]) -> None:
        self._recording = recording
        self._client = client
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        method = self._methods.get(name)
        return attribute if method is None else self._recorded(attribute, method)

    def _recorded(self, function: Callable[..., Any], method: Method) -> Callable[..., Any]:
        recording = self._recording

        def call(*arguments: Any, **named: Any) -> Any:
            key = None if method.key is None else arguments[method.key]
            value = None if method.value is None else arguments[method.value]
            if inspect.iscoroutinefunction(function):
                return awaited(key, value, function(*arguments, **named))
            with recording.operation(method.f, key, value) as pending:
                result = function(*arguments, **named)
                if not inspect.isawaitable(result):
                    pending.ok(result if method.value is None else value)
                    return result
            raise CheckerError(f"{function.__name__} returned an awaitable: await it through acall")

        async def awaited(key: Any, value: Any, coroutine: Awaitable[Any]) -> Any:
            with recording.operation(method.f, key, value) as pending:
                result = await coroutine
                pending.ok(result if method.value is None else value)
            return result

        return call


def _who() -> Hashable:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return task if task is not None else threading.current_thread()
