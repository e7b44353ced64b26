"""What threads, tasks and wrapped clients do is recorded; the pytest plugin and the examples judge it."""

from __future__ import annotations

import asyncio
import runpy
import threading
from pathlib import Path

import pytest
from hypothesis import find, settings
from hypothesis import strategies as st

from comity.checkers import CheckerError, History, Method, Outcome, PromiseBroken, Recording, read_history

pytest_plugins = ["pytester"]
EXAMPLES = Path(__file__).parents[3] / "examples"


class Store:
    """A register with a fault to order: `forgets` loses every third write."""

    def __init__(self, forgets: bool = False) -> None:
        self.values: dict[str, int] = {}
        self.forgets = forgets
        self.writes = 0

    def get(self, key: str) -> int | None:
        return self.values.get(key)

    def set(self, key: str, value: int) -> None:
        self.writes += 1
        if not (self.forgets and self.writes % 3 == 0):
            self.values[key] = value

    async def aget(self, key: str) -> int | None:
        await asyncio.sleep(0)
        return self.values.get(key)


METHODS = {"get": Method("read"), "set": Method("write", 0, 1), "aget": Method("read")}


def test_every_thread_is_a_process_and_wrapped_methods_are_operations() -> None:
    with History.recording() as h:
        client = h.wrap(Store(), METHODS)
        client.set("x", 1)
        other = threading.Thread(target=lambda: client.get("x"))
        other.start()
        other.join()
    told = [(o.process, o.f, o.key, o.value, o.result) for o in h.history.operations]
    assert told == [(0, "write", "x", 1, 1), (1, "read", "x", None, 1)]
    h.assert_holds("register")


def test_every_task_is_a_process() -> None:
    async def run() -> History:
        async with History.recording() as h:
            client = h.wrap(Store(), METHODS)
            await asyncio.gather(client.aget("x"), client.aget("x"))
            assert await h.acall("read", "y", None, asyncio.sleep(0, 7)) == 7
        return h.history

    history = asyncio.run(run())
    assert sorted(str(o.process) for o in history.operations) == ["0", "1", "2"]
    assert history.operations[-1].result == 7


def test_an_exception_is_of_unknown_outcome_unless_it_is_definite() -> None:
    with History.recording(definite=(KeyError,)) as h:
        with pytest.raises(KeyError), h.operation("write", "x", 1):
            raise KeyError
        with pytest.raises(OSError), h.operation("write", "x", 2):  # noqa: PT011
            raise OSError
        h.call("read", "x", None, lambda: 2)
    assert [(o.process, o.outcome) for o in h.history.operations] == [
        (0, Outcome.FAIL),
        (0, Outcome.INFO),
        (1, Outcome.OK),
    ]


def test_a_broken_promise_says_which_and_a_recording_can_be_saved(tmp_path: Path) -> None:
    with History.recording() as h:
        client = h.wrap(Store(forgets=True), METHODS)
        for value in range(3):
            client.set("x", value)
        client.get("x")
    with pytest.raises(PromiseBroken, match="not sequential") as broken:
        h.assert_holds("register", "sequential")
    assert broken.value.analysis.exit_status == 1
    h.save(tmp_path / "h.jsonl")
    assert len(read_history(tmp_path / "h.jsonl")) == 4


def test_a_recording_is_bounded() -> None:
    h = Recording(limit=1)
    h.call("read", "x", None, lambda: None)
    with pytest.raises(CheckerError, match="more than 1 operations"):
        h.call("read", "x", None, lambda: None)


def test_hypothesis_shrinks_a_workload_that_breaks_the_promise() -> None:
    def breaks(workload: list[tuple[str, str]]) -> bool:
        with History.recording() as h:
            client = h.wrap(Store(forgets=True), METHODS)
            for number, (f, key) in enumerate(workload):
                client.get(key) if f == "get" else client.set(key, number)
        return h.analyse("register").exit_status == 1

    steps = st.lists(st.tuples(st.sampled_from(["get", "set"]), st.sampled_from(["x", "y"])))
    smallest = find(steps, breaks, settings=settings(derandomize=True, database=None, max_examples=2_000))
    assert sorted(f for f, _ in smallest) == ["get", "set", "set", "set"]


def test_the_plugin_fails_a_test_whose_history_breaks_its_promise(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.comity(type="register")
        def test_sound(comity_history):
            comity_history.call("write", "x", 1, lambda: 1)
            assert comity_history.call("read", "x", None, lambda: 1) == 1

        @pytest.mark.comity(type="register", model="sequential")
        def test_stale(comity_history):
            comity_history.call("write", "x", 1, lambda: 1)
            comity_history.call("read", "x", None, lambda: None)
        """
    )
    result = pytester.runpytest("--comity-save", "kept", "-p", "no:xdist")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*comity: the history is not sequential*"])
    assert len(list((pytester.path / "kept").glob("*stale.jsonl"))) == 1
    assert len(list((pytester.path / "kept").glob("*stale.html"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["locked_dict", "sqlite_transactions"])
def test_an_example_turns_out_as_it_says(name: str) -> None:
    assert runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]() == 0
