"""The checker against the brute-force twin, on thousands of random small histories of every type."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import pytest
from tests.unit.checkers.brute_force import Specification, is_linearizable, key_value, register
from tests.unit.checkers.random_histories import Corrupt, Draw, random_history

from comity.checkers import (
    CasRegister,
    DataType,
    History,
    KeyValue,
    Limits,
    Operation,
    Outcome,
    Register,
    Report,
    Status,
    check_history,
)
from comity.checkers.datatypes import REFUSED
from comity.checkers.linearizability.problem import prefix_of, problem_of
from comity.checkers.linearizability.search import Ending, search

HISTORIES = 1500
LIMITS = Limits(clock_ns=lambda: 0)


def draw_register(random_: random.Random) -> tuple[str, Any]:
    return random_.choice([("read", None), ("read", None), ("write", random_.randrange(3))])


def draw_cas_register(random_: random.Random) -> tuple[str, Any]:
    cas = ("cas", (random_.randrange(3), random_.randrange(3)))
    return random_.choice([("read", None), ("write", random_.randrange(3)), cas, cas])


def draw_kv(random_: random.Random) -> tuple[str, Any]:
    text = random_.choice("abc")
    return random_.choice(
        [
            ("get", None),
            ("get", None),
            ("put", text),
            ("append", text),
            ("cas", (random_.choice("abc"), text)),
            ("delete", None),
            ("txn", (("r", None, None), ("append", None, text))),
            ("txn", (("w", None, text), ("r", None, None))),
        ]
    )


def draw_commands(random_: random.Random) -> tuple[str, Any]:
    text = random_.choice(["a", "b", "7"])
    options = random_.choice([(), ("NX",), ("XX",), ("GET",), ("NX", "GET"), ("XX", "GET")])
    return random_.choice(
        [
            ("GET", None),
            ("GET", None),
            ("SET", (text, *options)),
            ("SET", text),
            ("SETNX", text),
            ("GETSET", text),
            ("GETDEL", None),
            ("APPEND", text),
            ("STRLEN", None),
            ("INCR", None),
            ("DECR", None),
            ("INCRBY", 2),
            ("DEL", None),
            ("EXISTS", None),
            ("EXEC", (("GET",), ("SET", text))),
            ("EXEC", (("INCR",), ("STRLEN",))),
        ]
    )


def draw_counter(random_: random.Random) -> tuple[str, Any]:
    return random_.choice([("GET", None), ("INCR", None), ("INCR", None), ("DEL", None), ("SET", "5")])


def draw_adding(random_: random.Random) -> tuple[str, Any]:
    return random_.choice([("GET", None), ("GET", None), ("INCR", None), ("INCR", None), ("INCRBY", 2)])


def draw_log(random_: random.Random) -> tuple[str, Any]:
    text = random_.choice(["a", "b", "ab"])
    return random_.choice(
        [("GET", None), ("GET", None), ("APPEND", text), ("APPEND", text), ("STRLEN", None)]
    )


def corrupt_number(random_: random.Random, f: str, result: Any) -> Any:
    return random_.choice([None, 0, 1, 2])


def corrupt_text(random_: random.Random, f: str, result: Any) -> Any:
    if isinstance(result, tuple):
        return result if f != "txn" else tuple((m, k, "a" if m == "r" else v) for m, k, v in result)
    if isinstance(result, int):
        return result + random_.choice([-1, 1])
    if isinstance(result, str) and result.isdigit():
        return random_.choice([None, str(max(1, int(result) - 1)), str(int(result) + 1)])
    return random_.choice([None, "a", "b", "ab"]) if f != "SET" or result != "OK" else result


class Case(NamedTuple):
    """A data type, its twin's specification, and how to draw operations."""

    name: str
    data_type: DataType
    specification: Specification
    draw: Draw
    corrupt: Corrupt
    initial: Any = None


CASES = [
    Case("register", Register(), register, draw_register, corrupt_number),
    Case("register-initial", Register(initial=0), register, draw_register, corrupt_number, 0),
    Case("cas-register", CasRegister(), register, draw_cas_register, corrupt_number),
    Case("kv", KeyValue(), key_value, draw_kv, corrupt_text),
    Case("kv-commands", KeyValue(), key_value, draw_commands, corrupt_text),
    Case("kv-counter", KeyValue(), key_value, draw_counter, corrupt_text),
    Case("kv-adding", KeyValue(), key_value, draw_adding, corrupt_text),
    Case("kv-log", KeyValue(), key_value, draw_log, corrupt_text),
]


def histories(case: Case, count: int, seed: str) -> list[History]:
    random_ = random.Random(f"{case.name} {seed}")
    return [
        random_history(
            random_,
            case.specification,
            case.initial,
            case.draw,
            case.corrupt,
            operations=random_.randint(1, 9),
            processes=random_.randint(2, 4),
            keys=random_.choice([1, 1, 1, 2]),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("part", range(2))
def test_the_verdict_is_that_of_trying_every_order(case: Case, part: int) -> None:
    counts = {True: 0, False: 0}
    for history in histories(case, HISTORIES, f"part {part}"):
        expected = is_linearizable(history, case.initial, case.specification)
        counts[expected] += 1
        report = check_history(history, case.data_type, LIMITS)
        assert report.valid == expected, "\n".join(map(str, history.events()))
        if not expected:
            assert report.status is Status.VIOLATION
            assert_witness_holds(case, history, report)
    # The histories are worth something: both verdicts are common among them.
    assert min(counts.values()) > HISTORIES // 20


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_many_unknown_outcomes_are_used_up_neither_twice_nor_too_late(case: Case) -> None:
    random_ = random.Random(f"{case.name} unknown")
    counts = {True: 0, False: 0}
    for _ in range(HISTORIES // 3):
        history = random_history(
            random_,
            case.specification,
            case.initial,
            case.draw,
            case.corrupt,
            operations=random_.randint(9, 14),
            processes=4,
            unknown=random_.choice([0.3, 0.6]),
        )
        expected = is_linearizable(history, case.initial, case.specification)
        counts[expected] += 1
        assert check_history(history, case.data_type, LIMITS).valid == expected
    assert min(counts.values()) > 10


def assert_witness_holds(case: Case, history: History, report: Report) -> None:
    """The prefix fails, one event less of it does not, and the partial order is one."""
    verdict = report.verdicts[0]
    assert verdict.smallest
    events = list(history.events())
    end = max(o.completed for o in verdict.witness if o.outcome is Outcome.OK and o.completed is not None)
    failed = {o.invoked for o in history.operations if o.outcome is Outcome.FAIL}
    failed |= {o.completed for o in history.operations if o.outcome is Outcome.FAIL and o.completed}
    only = [
        event
        for place, event in enumerate(events[: end + 1])
        if event.key == verdict.key and place not in failed
    ]
    assert not is_linearizable(History.of(only), case.initial, case.specification)
    assert is_linearizable(History.of(only[:-1]), case.initial, case.specification)
    assert {o.index for o in verdict.linearization} <= {o.index for o in verdict.witness}
    assert_is_an_order(case.data_type, verdict.linearization)
    unheard_of = "Nothing that may have happened" in verdict.explanation
    if not unheard_of:
        # All that returned before the first one that is stuck has its place.
        placed = {o.index for o in verdict.linearization}
        blocked = verdict.stuck[0].completed
        assert blocked is not None
        assert blocked <= end
        done = [o for o in verdict.witness if o.outcome is Outcome.OK and o.completed is not None]
        assert {o.index for o in done if o.completed is not None and o.completed < blocked} <= placed
    assert verdict.stuck
    assert not {o.index for o in verdict.stuck} & {o.index for o in verdict.linearization}
    assert str(verdict.stuck[0].process) in verdict.explanation


def test_an_explanation_that_would_cost_too_much_is_found_with_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("comity.checkers.linearizability.EXPLANATION_STATES", 4)
    said = {"What comes next leaves": 0, "A limit was reached": 0, "What should come next": 0}
    for case in CASES[-4:]:
        for history in histories(case, HISTORIES, "costly"):
            report = check_history(history, case.data_type, LIMITS)
            if report.status is Status.VIOLATION:
                if "A limit was reached" not in report.explanation:
                    assert_witness_holds(case, history, report)
                for words in said:
                    said[words] += words in report.explanation
    assert min(said.values()) > 10


def assert_is_an_order(data_type: DataType, order: tuple[Operation, ...]) -> None:
    state = data_type.initial()
    for place, operation in enumerate(order):
        state = data_type.step(state, operation)
        assert state is not REFUSED
        for earlier in order[:place]:
            if operation.outcome is Outcome.OK and operation.completed is not None:
                assert not operation.completed < earlier.invoked


def failed_cas_observes(state: Any, f: str, value: Any) -> tuple[Any, Any]:
    """For the twin: a failed cas, renamed `differs` and ok, says that the register held something else."""
    if f == "differs":
        return state, state != value[0]
    return register(state, f, value)


def test_a_failed_cas_can_say_that_the_compare_failed() -> None:
    case = CASES[2]
    data_type = CasRegister(failed_cas="compare-failed")
    verdicts = set()
    for history in histories(case, 2 * HISTORIES, "compare failed"):
        read_as_observation = History(
            [
                Operation(
                    o.index, o.process, "differs", o.key, o.value, True, Outcome.OK, o.invoked, o.completed
                )
                if o.f == "cas" and o.outcome is Outcome.FAIL
                else o
                for o in history.operations
            ],
            [],
            history.event_count,
        )
        expected = is_linearizable(read_as_observation, None, failed_cas_observes)
        assert check_history(history, data_type, LIMITS).valid == expected
        verdicts.add((expected, check_history(history, CasRegister(), LIMITS).valid))
    assert verdicts == {(True, True), (False, False), (False, True)}


def test_a_nil_read_can_say_nothing() -> None:
    for history in histories(CASES[1], HISTORIES, "wildcard"):
        said = [o for o in history.operations if not (o.f == "read" and o.result is None)]
        expected = is_linearizable(History(said, [], history.event_count), 0, register)
        assert check_history(history, Register(initial=0, nil_read="wildcard"), LIMITS).valid == expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_leaving_out_what_nobody_can_have_seen_changes_no_verdict(case: Case) -> None:
    left_out = 0
    for history in histories(case, HISTORIES // 2, "needless"):
        for key in history.all_keys():
            operations = [o for o in history.operations if o.key == key and case.data_type.counts(o)]
            problem = problem_of(case.data_type, operations)
            left_out += problem.dropped
            whole = problem_of(_KeepsAll(case.data_type), operations)
            assert whole.dropped == 0
            assert search(problem, LIMITS, None).ending == search(whole, LIMITS, None).ending
    assert left_out > 10 or case.name == "kv-adding"


class _KeepsAll(DataType):
    """Another type without its short cuts: nothing observes, nothing is needless or alike."""

    def __init__(self, inner: DataType) -> None:
        self.name = inner.name
        self._inner = inner

    def initial(self) -> Any:
        return self._inner.initial()

    def step(self, state: Any, operation: Operation) -> Any:
        return self._inner.step(state, operation)


def draw_different(written: list[int]) -> Draw:
    def draw(random_: random.Random) -> tuple[str, Any]:
        if random_.random() < 0.6:
            return "read", None
        written.append(len(written) + 1)
        return "write", written[-1]

    return draw


def test_zones_agree_with_the_search_where_written_values_differ() -> None:
    random_ = random.Random("zones")
    counts = {Ending.FOUND: 0, Ending.NONE: 0}
    for _ in range(2 * HISTORIES):
        written: list[int] = []

        def corrupt(random_: random.Random, f: str, result: Any, written: list[int] = written) -> Any:
            near = [value for value in written if result is None or abs(value - result) < 3]
            return random_.choice([None, *near])

        history = random_history(
            random_,
            register,
            None,
            draw_different(written),
            corrupt,
            operations=random_.randint(1, 30),
            processes=random_.randint(2, 5),
            trouble=0.7 if random_.random() < 0.5 else 0.0,
        )
        problem = problem_of(Register(), [o for o in history.operations if Register().counts(o)])
        ending = search(problem, LIMITS, None).ending
        counts[ending] += 1
        report = check_history(history, "register", LIMITS)
        assert report.statistics["by_zones"] == report.keys
        assert report.valid == (ending is Ending.FOUND)
    assert min(counts.values()) > 200


def test_a_prefix_is_what_was_known_at_that_event() -> None:
    data_type = KeyValue()
    for history in histories(CASES[3], 300, "prefix"):
        events = list(history.events())
        for end in range(len(events) + 1):
            cut = History.of(events[:end]).operations
            expected = [(o.index, o.outcome, o.result) for o in cut if data_type.counts(o)]
            known = prefix_of(data_type, history.operations, end)
            assert [(o.index, o.outcome, o.result) for o in known if data_type.counts(o)] == expected
