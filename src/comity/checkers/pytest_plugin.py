"""A pytest plugin: what a test's clients did is recorded, and checked when the test has passed.

    @pytest.mark.comity(type="register", model="linearizable")
    def test_readers_see_the_latest_write(comity_history):
        store = comity_history.wrap(connect(), {"get": Method("read"), "set": Method("write", 0, 1)})
        ...

With `--comity-save DIR` the history of a test that fails is saved, with a page about it beside.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from comity.checkers.recording import Recording

_RECORDING: pytest.StashKey[Any] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """--comity-save."""
    parser.getgroup("comity").addoption(
        "--comity-save", metavar="DIR", help="Save the histories of tests that break their promise."
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line(
        "markers", "comity(type, model='linearizable'): what the recorded history must be."
    )


@pytest.fixture
def comity_history(request: pytest.FixtureRequest) -> Recording:
    """A recording of this test; it is checked when the test has passed, as its marker says."""
    from comity.checkers.recording import Recording

    marker = request.node.get_closest_marker("comity")
    recording = Recording(tuple(marker.kwargs.get("definite", ())) if marker is not None else ())
    request.node.stash[_RECORDING] = recording
    return recording


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """After a test's own assertions, its history's."""
    result = yield
    recording = item.stash.get(_RECORDING, None)
    if recording is not None:
        _check(item, recording)
    return result


def _check(item: pytest.Item, recording: Recording) -> None:
    from comity.checkers.inputs.shape import guess_type
    from comity.checkers.recording import PromiseBroken

    marker = item.get_closest_marker("comity")
    options = dict(marker.kwargs) if marker is not None else {}
    data_type = options.get("type") or guess_type(recording.history)
    if data_type is None:
        pytest.fail("comity: say @pytest.mark.comity(type=...): the operations do not tell", pytrace=False)
    model = options.get("model") or (
        "strict-serializable" if data_type in {"list-append", "rw-register"} else "linearizable"
    )
    try:
        recording.assert_holds(data_type, model, options.get("semantics"))
    except PromiseBroken as broken:
        saved = _save(item, recording, broken)
        pytest.fail(f"comity: {broken}{saved}", pytrace=False)


def _save(item: pytest.Item, recording: Recording, broken: Any) -> str:
    directory = item.config.getoption("--comity-save")
    if not directory:
        return "\n(--comity-save DIR keeps the history and a page about it)"
    from comity.checkers.report.html import write_page

    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.-]+", "_", item.nodeid)[-120:]
    recording.save(folder / f"{name}.jsonl")
    write_page(folder / f"{name}.html", item.nodeid, recording.history, broken.analysis)
    return f"\nsaved: {folder / name}.jsonl and .html"
