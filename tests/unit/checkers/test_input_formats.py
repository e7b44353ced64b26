"""Histories of other tools are read as they are written; what is broken is refused, with its place."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.checkers import History, HistoryError, Outcome, open_history, write_history
from comity.checkers.inputs import FORMATS
from comity.checkers.inputs.edn import EdnReader, read_value

JEPSEN_LOG = """INFO  jepsen.core - Worker 0 starting
INFO  jepsen.util - 0\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:invoke\t:cas\t[1 2]
INFO  jepsen.util - :nemesis\t:info\t:start\tnil
INFO  jepsen.util - 0\t:ok\t:read\tnil
INFO  jepsen.util - 1\t:info\t:cas\t:timed-out
INFO  jepsen.util - 2\t:invoke\t:write\t3
INFO  jepsen.util - 2\t:fail\t:write\t3
"""
PORCUPINE = """{:process 0, :type :invoke, :f :append, :key "0", :value "x 0 0 y"}
{:process 0, :type :ok, :f :append, :key "0", :value "x 0 0 y"}
{:process 1, :type :invoke, :f :get, :key "5", :value nil}
{:process 1, :type :ok, :f :get, :key "5", :value ""}
"""
KNOSSOS = """; a comment
[{:process 4, :type :invoke, :f :write, :value 2}
 {:process 4, :type :ok, :f :write, :value 2}
 {:process :nemesis, :type :info, :f :start}
 #_{:process 9, :type :ok, :f :never}
 {:process 6, :type :invoke, :f :read, :value nil}]
"""
ELLE = """{:index 0 :type :invoke :value [[:append 253 1] [:r 255 nil]]}
{:index 1 :type :ok :value [[:append 253 1] [:r 255 [2 3]]]}
"""
JEPSEN_EDN = """{:type :invoke, :f :read, :value [3 nil], :process 0, :time 7, :index 0}
#jepsen.history.Op{:type :ok, :f :read, :value [3 #{1 "a" \\b}], :process 0, :time 9, :index 1}
{:jepsen/type :invoke, :f :write, :value [3 1.5e3], :process 1, :time 12, :index 2}
"""


def read(tmp_path: Path, text: str) -> tuple[str, str | None, History]:
    path = tmp_path / "history"
    path.write_text(text)
    reading = open_history(path)
    return reading.format, reading.data_type, reading.history


def test_jepsen_logs_are_read_and_an_info_line_keeps_the_value_of_its_invocation(tmp_path: Path) -> None:
    name, data_type, history = read(tmp_path, JEPSEN_LOG)
    assert (name, data_type) == ("jepsen-log", "cas-register")
    assert [(o.f, o.value, o.outcome) for o in history.operations] == [
        ("read", None, Outcome.OK),
        ("cas", (1, 2), Outcome.INFO),
        ("write", 3, Outcome.FAIL),
    ]
    assert [event.f for _, event in history.faults] == ["start"]


def test_porcupine_files_read_a_missing_key_as_an_empty_text(tmp_path: Path) -> None:
    path = tmp_path / "kv.txt"
    path.write_text(PORCUPINE)
    reading = open_history(path)
    assert (reading.format, reading.data_type, reading.semantics.initial) == ("porcupine-kv", "kv", "")
    assert [(o.key, o.result) for o in reading.history.operations] == [("0", "x 0 0 y"), ("5", "")]


@pytest.mark.parametrize("form", ["vector", "list", "bare"])
def test_knossos_files_are_vectors_lists_or_bare_maps(tmp_path: Path, form: str) -> None:
    text = KNOSSOS
    if form == "list":
        text = text.replace("[{", "({").replace("}]", "})")
    elif form == "bare":
        text = text.replace("[{", "{").replace("}]", "}")
    path = tmp_path / "k.edn"
    path.write_text(text)
    reading = open_history(path)
    assert reading.format == "knossos-edn"
    assert (reading.semantics.initial, reading.semantics.nil_read) == (0, "wildcard")
    assert [(o.process, o.f, o.outcome) for o in reading.history.operations] == [
        (4, "write", Outcome.OK),
        (6, "read", Outcome.INFO),
    ]


def test_elle_transactions_without_process_or_name_are_sessions_of_their_own(tmp_path: Path) -> None:
    name, data_type, history = read(tmp_path, ELLE * 1)
    assert (name, data_type) == ("elle-edn", "list-append")
    assert history.operations[0].result == (("append", 253, 1), ("r", 255, (2, 3)))


def test_jepsen_edn_takes_records_namespaces_sets_and_keys_inside_values(tmp_path: Path) -> None:
    name, data_type, history = read(tmp_path, JEPSEN_EDN)
    assert (name, data_type) == ("jepsen-edn", "register")
    assert [(o.key, o.value, o.result) for o in history.operations] == [
        (3, None, frozenset({1, "a", "b"})),
        (3, 1500.0, None),
    ]


def test_gzip_and_json_lines_survive_the_way_there_and_back(tmp_path: Path) -> None:
    _, _, history = read(tmp_path, JEPSEN_LOG)
    plain, packed = tmp_path / "h.jsonl", tmp_path / "h.jsonl.gz"
    write_history(history, plain)
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, packed):
        again = open_history(path).history
        assert [(o.f, o.value, o.outcome) for o in again.operations] == [
            (o.f, o.value, o.outcome) for o in history.operations
        ]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (KNOSSOS.replace("]", ""), 2, "never closed"),
        (KNOSSOS + "]", 7, "closes nothing"),
        (KNOSSOS.replace(":ok", ":okay"), 3, "an event's :type"),
        (KNOSSOS.replace(":f :write", ":f", 1), 2, "no value"),
        (PORCUPINE + '{:process 0, :type :ok, :f :get, :key "0" :value "', 5, "never closed"),
        (PORCUPINE + "{:process 7, :type :ok, :f :get}", 5, "without having invoked"),
        (JEPSEN_LOG + "INFO  jepsen.util - 0 :invoke :read [1", 9, "never closed"),
        (JEPSEN_EDN.replace(":process 0,", "", 1), 1, "without :process"),
        ("[" * 500, 1, "in one another"),
    ],
)
def test_broken_files_are_refused_with_line_and_reason(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    path = tmp_path / "broken"
    path.write_text(text)
    with pytest.raises(HistoryError, match=reason) as caught:
        open_history(path, "knossos-edn" if text.startswith("[[") else None)
    assert caught.value.line == line
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nil", None),
        ("[1 -2 +3 4N 2.5M 1e2 1/2]", (1, -2, 3, 4, 2.5, 100.0, "1/2")),
        ('"a\\n\\u0041\\"b"', 'a\nA"b'),
        ("\\newline", "\n"),
        ('#inst "2020-01-01"', "2020-01-01"),
        ("(1, #_ 2 3 #_#_ 4 5)", (1, 3)),
        ("#{:a/b sym}", frozenset({"a/b", "sym"})),
        ("true ; comment", True),
    ],
)
def test_edn_values_are_read(text: str, value: object) -> None:
    assert read_value(text) == value


@given(st.binary(max_size=300), st.sampled_from([None, *FORMATS]))
@settings(max_examples=300, deadline=None)
def test_whatever_the_bytes_it_is_a_history_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz"
    path.write_bytes(data)
    with suppress(HistoryError):
        open_history(path, name)


@given(st.text(alphabet='{}[]()#_:;"\\ abc019.-\n,', max_size=80))
@settings(max_examples=500, deadline=None)
def test_whatever_the_text_the_edn_reader_ends(text: str) -> None:
    with suppress(HistoryError):
        list(EdnReader().forms(enumerate(text.splitlines(keepends=True), 1)))
