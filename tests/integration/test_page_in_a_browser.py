"""The page of `comity check --html` in a real browser: read, hovered, clicked, and silent on the console.

Skipped where Debian's chromium and chromium-driver, or their like, are not installed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from comity.checkers import Event, EventType, History, analyse, freeze
from comity.checkers.report.html import page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no chromium is installed (Debian: chromium)"),
    pytest.mark.skipif(DRIVER is None, reason="no chromedriver is installed (Debian: chromium-driver)"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    assert BROWSER is not None
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "localhost,127.0.0.1")
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))  # both paths: nothing is fetched
        try:
            yield driver
        finally:
            driver.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """The browser; whatever the test does in it, the console stays empty and nothing is fetched."""
    chromium.get_log("browser")  # type: ignore[no-untyped-call]
    yield chromium
    assert chromium.get_log("browser") == []  # type: ignore[no-untyped-call]
    assert chromium.execute_script("return performance.getEntriesByType('resource').length") == 0


Opener = Callable[..., Any]


@pytest.fixture
def opened(browser: webdriver.Chrome, tmp_path: Path) -> Opener:
    """Check a history and open its page from a file; gives the analysis."""

    def opening(history: History, data_type: str, name: str = "history.jsonl", **options: Any) -> Any:
        analysis = analyse(history, data_type, **options)
        path = tmp_path / "page.html"
        path.write_text(page(name, history, analysis), encoding="utf-8")
        browser.get(path.as_uri())
        return analysis

    return opening


def history(*lines: str) -> History:
    """ "process type f key value": a key or value of - is none."""
    events = []
    for line in lines:
        process, kind, f, key, value = line.split(None, 4)
        parsed = None if value == "-" else freeze(json.loads(value))
        events.append(Event(int(process), EventType(kind), f, None if key == "-" else key, parsed))
    return History.of(events)


STALE = history(
    "0 invoke write x 1",
    "0 ok write x 1",
    "1 invoke write x 2",
    "1 ok write x 2",
    "2 invoke read x -",
    "2 ok read x 1",
    "3 invoke write x 3",
    "3 info write x 3",
)
G_SINGLE = history(
    '0 invoke txn - [["append","x",1],["append","y",1]]',
    '1 invoke txn - [["r","x",null],["r","y",null],["append","z",9]]',
    '0 ok txn - [["append","x",1],["append","y",1]]',
    '1 ok txn - [["r","x",[]],["r","y",[1]],["append","z",9]]',
)


def settled(browser: webdriver.Chrome) -> None:
    """Until what was asked for is drawn."""
    browser.execute_async_script(
        "const done=arguments[0];requestAnimationFrame(()=>requestAnimationFrame(done))"
    )


def hover(browser: webdriver.Chrome, operation: int) -> str:
    """Point at an operation in the timeline, and read what the page says of it."""
    view = browser.find_element(By.ID, "view")
    browser.execute_script("arguments[0].scrollIntoView({block:'center'})", view)
    settled(browser)
    place = browser.execute_script("return comityPage.placeOf(arguments[0])", operation)
    actions = ActionChains(browser)
    actions.w3c_actions.pointer_action.move_to_location(round(place["x"]), round(place["y"]))  # type: ignore[no-untyped-call]
    actions.perform()
    return tip(browser, operation)


def tip(browser: webdriver.Chrome, operation: int) -> str:
    shown = browser.find_element(By.ID, "tip")
    WebDriverWait(browser, 20).until(
        lambda _: shown.is_displayed() and shown.get_attribute("data-operation") == str(operation)
    )
    return shown.text


def text_of(browser: webdriver.Chrome, identity: str) -> str:
    return browser.find_element(By.ID, identity).text


def boxes(browser: webdriver.Chrome, selector: str) -> list[dict[str, float]]:
    found: list[dict[str, float]] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(e=>{const b=e.getBoundingClientRect();"
        "return {left:b.left,right:b.right,top:b.top,bottom:b.bottom}})",
        selector,
    )
    return found


def overlapping(found: list[dict[str, float]]) -> list[tuple[int, int]]:
    return [
        (i, j)
        for i, a in enumerate(found)
        for j, b in enumerate(found[:i])
        if a["left"] < b["right"]
        and b["left"] < a["right"]
        and a["top"] < b["bottom"]
        and b["top"] < a["bottom"]
    ]


def test_the_verdict_and_every_model_are_read_from_the_page(
    opened: Opener, browser: webdriver.Chrome
) -> None:
    analysis = opened(STALE, "register", "stale.jsonl")
    assert text_of(browser, "verdict") == "Sequential, but not linearizable"
    assert browser.find_element(By.ID, "verdict").get_attribute("data-status") == "violation"
    assert text_of(browser, "file") == "stale.jsonl"
    drawn = {
        node.get_attribute("data-model"): node.get_attribute("data-status")
        for node in browser.find_elements(By.CSS_SELECTOR, "[data-model]")
    }
    assert drawn == {model: status.value for model, status in analysis.models.items()}


def test_hovering_an_operation_tells_what_it_was_and_that_it_has_no_place(
    opened: Opener, browser: webdriver.Chrome
) -> None:
    opened(STALE, "register")
    assert "number 1 in the order found" in hover(browser, 0)
    told = hover(browser, 2)
    assert told.startswith("#2 · process 2 · ok\nread x → 1\n")
    assert "cannot come next" in told
    assert "of unknown outcome" in hover(browser, 3)


def test_a_click_on_a_finding_shows_its_picture(opened: Opener, browser: webdriver.Chrome) -> None:
    opened(G_SINGLE, "list-append")
    findings = {
        button.find_element(By.TAG_NAME, "b").text: button
        for button in browser.find_elements(By.CSS_SELECTOR, ".verdict")
    }
    assert {"G-single", "fractured-read"} <= set(findings)
    findings["fractured-read"].click()
    assert "on" in (findings["fractured-read"].get_attribute("class") or "").split()
    assert text_of(browser, "explanation").startswith("fractured-read")
    assert browser.find_elements(By.CSS_SELECTOR, ".why") == []
    findings["G-single"].click()
    assert text_of(browser, "explanation").startswith("G-single")
    labels = [label.text for label in browser.find_elements(By.CSS_SELECTOR, ".why")]
    assert sorted(label.split(". ")[1] for label in labels) == ["rw x", "wr y"]


def test_transactions_of_a_cycle_are_told_by_their_micro_operations(
    opened: Opener, browser: webdriver.Chrome
) -> None:
    opened(G_SINGLE, "list-append")
    cards = {
        card.get_attribute("data-operation"): [line.text for line in card.find_elements(By.TAG_NAME, "code")]
        for card in browser.find_elements(By.CSS_SELECTOR, ".card")
    }
    assert cards == {"0": ["append x 1", "append y 1"], "1": ["r x []", "r y [1]", "append z 9"]}
    clipped = (
        "return [...document.querySelectorAll('.card code')].filter(e=>e.scrollWidth>e.clientWidth).length"
    )
    assert browser.execute_script(clipped) == 0
    assert overlapping(boxes(browser, ".card, .why")) == []
    assert "before T0" in hover(browser, 1)


@pytest.mark.parametrize(("chosen", "data_type"), [(STALE, "register"), (G_SINGLE, "list-append")])
def test_no_two_models_of_the_lattice_overlap(
    opened: Opener, browser: webdriver.Chrome, chosen: History, data_type: str
) -> None:
    opened(chosen, data_type)
    assert len(boxes(browser, "[data-model]")) in {10, 13}
    assert overlapping(boxes(browser, "[data-model]")) == []


def test_the_keyboard_goes_through_the_witness_and_zooms(opened: Opener, browser: webdriver.Chrome) -> None:
    opened(STALE, "register")
    view = browser.find_element(By.ID, "view")
    view.send_keys("n")
    assert "write x 1" in tip(browser, 0)
    view.send_keys("n")
    assert "write x 2" in tip(browser, 1)
    view.send_keys("p")
    assert "write x 1" in tip(browser, 0)
    place = "const p=comityPage;return p.placeOf(2).x-p.placeOf(0).x"
    before = browser.execute_script(place)
    view.send_keys("+", Keys.ARROW_RIGHT)
    assert browser.execute_script(place) > before
    view.send_keys("0")
    assert not browser.find_element(By.ID, "tip").is_displayed()


def test_light_turns_dark_and_back(opened: Opener, browser: webdriver.Chrome) -> None:
    opened(STALE, "register")
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = browser.execute_script(colour)
    browser.find_element(By.ID, "theme").click()
    assert browser.execute_script(colour) != light
    browser.find_element(By.ID, "theme").click()
    assert browser.execute_script(colour) == light


@pytest.mark.parametrize(
    "hostile",
    [
        "</script><script>window.broken=1</script>",
        """"'`<img src=x onerror=window.broken=1>${1}\\""",
        "\u2028\u2029 ]]> <!-- &lt;",
    ],
)
def test_no_value_breaks_out_of_the_page(opened: Opener, browser: webdriver.Chrome, hostile: str) -> None:
    other = hostile + "2"
    lines = [(0, "write", hostile), (1, "write", other), (2, "read", hostile)]
    events = []
    for process, f, value in lines:
        asked = value if f == "write" else None
        events.append(Event(process, EventType.INVOKE, f, hostile, asked))
        events.append(Event(process, EventType.OK, f, hostile, value))
    opened(History.of(events), "register", hostile)
    assert browser.find_element(By.ID, "file").get_attribute("textContent") == hostile
    assert "read" in hover(browser, 2)
    told = browser.find_element(By.CSS_SELECTOR, "#tip code").get_attribute("textContent")
    assert told is not None
    quoted = json.dumps(hostile, ensure_ascii=False) if any(c.isspace() for c in hostile) else hostile
    assert told == f"read {quoted} → {quoted}"
    assert browser.execute_script("return window.broken===undefined")
    assert browser.execute_script("return document.images.length") == 0


def test_a_history_of_nothing_and_a_valid_one_are_pages_too(
    opened: Opener, browser: webdriver.Chrome
) -> None:
    opened(History.of([]), "register")
    assert text_of(browser, "verdict") == "Nothing was done, so nothing was broken"
    opened(history("0 invoke write x 1", "0 ok write x 1"), "register")
    assert text_of(browser, "verdict") == "Linearizable"
    assert not browser.find_element(By.ID, "findings").is_displayed()


def long_history(operations: int) -> History:
    """Eight processes that write and read, one after the other, a key a thousand operations; one read, past
    the middle, is stale."""
    events = []
    stale = operations * 3 // 5 + 501
    for n in range(operations):
        process, f, key = n % 8, "read" if n % 2 else "write", f"k{n // 1000}"
        value = n - 1 if n % 2 else n
        events.append(Event(process, EventType.INVOKE, f, key, None if n % 2 else value))
        events.append(Event(process, EventType.OK, f, key, value - 2 if n == stale else value))
    return History.of(events)


def test_a_hundred_thousand_operations_are_drawn_without_going_through_them_all(
    opened: Opener, browser: webdriver.Chrome
) -> None:
    operations = 100_000
    opened(long_history(operations), "register", models=["linearizable"])
    assert text_of(browser, "verdict") == "Not linearizable"
    assert "cannot come next" in hover(browser, 60_501)
    browser.execute_script(
        "window.strokes=0;const p=CanvasRenderingContext2D.prototype;"
        "for(const f of ['fillRect','rect','roundRect','fillText']){const g=p[f];"
        "p[f]=function(...a){strokes++;return g.apply(this,a)}}"
    )
    view = browser.find_element(By.ID, "view")
    view.send_keys("0")
    settled(browser)
    drawn = browser.execute_script("return strokes")
    assert 100 < drawn < operations / 4
    view.send_keys("w")
    settled(browser)
    assert "process 5" in hover(browser, 60_501)
    find = browser.find_element(By.ID, "find")
    find.send_keys("write k77 77770")
    settled(browser)
    assert text_of(browser, "count") == "1 operation found"
    find.send_keys(Keys.ENTER)
    assert "write k77 77770" in tip(browser, 77_770)
