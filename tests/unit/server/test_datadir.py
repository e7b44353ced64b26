"""Data directories: whose they are, and who uses them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comity.server.datadir import DataDirectory
from comity.server.errors import CorruptDataError, DataDirectoryError


def test_a_directory_is_made_once_and_then_recognised(tmp_path: Path) -> None:
    first = DataDirectory(str(tmp_path / "a" / "b"), "comity", 1)
    assert first.created
    first.close()
    again = DataDirectory(str(tmp_path / "a" / "b"), "comity", 1)
    assert not again.created
    assert again.name == first.name != DataDirectory(str(tmp_path / "c"), "comity", 1).name
    assert again.segments() == []
    again.close()


def test_a_directory_in_use_is_refused_with_the_process_that_uses_it(tmp_path: Path) -> None:
    held = DataDirectory(str(tmp_path), "comity", 1)
    with pytest.raises(DataDirectoryError, match=r"in use by process \d+"):
        DataDirectory(str(tmp_path), "comity", 1)
    held.close()
    DataDirectory(str(tmp_path), "comity", 1).close()


@pytest.mark.parametrize(("cluster", "node"), [("comity", 2), ("other", 1)])
def test_another_nodes_directory_is_refused_and_let_go(tmp_path: Path, cluster: str, node: int) -> None:
    DataDirectory(str(tmp_path), "comity", 1).close()
    with pytest.raises(DataDirectoryError, match="belongs to node 1 of cluster 'comity'"):
        DataDirectory(str(tmp_path), cluster, node)
    DataDirectory(str(tmp_path), "comity", 1).close()


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    DataDirectory(str(tmp_path), "comity", 1).close()
    (tmp_path / "identity.json").write_text(json.dumps({"format": 99, "cluster": "comity", "node": 1}))
    with pytest.raises(DataDirectoryError, match="has format 99; this version of comity reads"):
        DataDirectory(str(tmp_path), "comity", 1)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}'])
def test_an_unreadable_identity_is_refused_with_what_it_should_be(tmp_path: Path, text: str) -> None:
    DataDirectory(str(tmp_path), "comity", 1).close()
    (tmp_path / "identity.json").write_text(text)
    with pytest.raises(CorruptDataError, match='"cluster": "comity", "node": 1'):
        DataDirectory(str(tmp_path), "comity", 1)


def test_a_directory_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(DataDirectoryError, match=r"holds thesis\.tex and no identity\.json"):
        DataDirectory(str(tmp_path), "comity", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_segments_come_oldest_first_and_a_strange_file_is_named(tmp_path: Path) -> None:
    directory = DataDirectory(str(tmp_path), "comity", 1)
    for number in (10, 2):
        (tmp_path / "wal" / f"{number:020d}.wal").write_bytes(b"%d" % number)
    assert directory.segments() == [(f"{2:020d}.wal", b"2"), (f"{10:020d}.wal", b"10")]
    assert directory.truncate(f"{10:020d}.wal", 1) == 1
    assert (tmp_path / "wal" / f"{10:020d}.wal").read_bytes() == b"1"
    (tmp_path / "wal" / "notes").write_text("x")
    with pytest.raises(DataDirectoryError, match="notes is not a log segment"):
        directory.segments()
    directory.close()
