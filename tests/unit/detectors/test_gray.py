"""Gray failures: slow disks and links that work one way."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from comity.detectors import Finding, GrayFailures, GrayOptions, Report
from comity.detectors.gray import Reason, median_without

SECOND = 1_000_000_000
MS = 1_000_000


def watch(
    gray: GrayFailures,
    seconds: range,
    disks: Mapping[int, int],
    unheard: frozenset[tuple[int, int]] = frozenset(),
) -> tuple[Finding, ...]:
    """Reports each second. disks: node -> fsync; unheard: (source, target) where source's words are lost."""
    found: tuple[Finding, ...] = ()
    for second in seconds:
        for node, fsync_ns in disks.items():
            heard = {
                peer: 600 * SECOND if (peer, node) in unheard else 500 * MS for peer in disks if peer != node
            }
            gray.report(second * SECOND, Report(node, fsync_ns, heard))
        found = gray.findings(second * SECOND)
    return found


WELL = dict.fromkeys(range(1, 6), 2 * MS)
SLOW = {**WELL, 3: 60 * MS}


def test_a_disk_far_slower_than_the_others_is_routed_around_once_it_lasts() -> None:
    gray = GrayFailures()
    assert watch(gray, range(5), SLOW) == ()
    (finding,) = watch(gray, range(5, 7), SLOW)
    assert (finding.node, finding.reason, finding.since_ns) == (3, Reason.SLOW_DISK, 0)
    assert "60.0 ms, the others' median is 2.0 ms" in finding.detail
    assert gray.avoid(6 * SECOND) == (3,)


def test_a_short_hiccup_is_forgotten() -> None:
    gray = GrayFailures()
    for start in range(0, 60, 6):
        assert watch(gray, range(start, start + 4), SLOW) == ()
        assert watch(gray, range(start + 4, start + 6), WELL) == ()


def test_it_comes_back_only_when_it_has_been_well_for_long() -> None:
    gray = GrayFailures()
    watch(gray, range(10), SLOW)
    assert watch(gray, range(10, 24), WELL) != ()
    assert watch(gray, range(24, 26), WELL) == ()


def test_between_the_factors_a_slow_disk_stays_slow_and_a_well_one_well() -> None:
    between = {**WELL, 3: 5 * 2 * MS, 4: 2 * MS}
    options = GrayOptions(floor_ns=MS)
    gray = GrayFailures(options)
    assert watch(gray, range(30), between) == ()
    watch(gray, range(30, 40), SLOW)
    assert gray.avoid(39 * SECOND) == (3,)
    assert len(watch(gray, range(40, 100), between)) == 1


def test_when_all_disks_are_slow_none_is() -> None:
    assert watch(GrayFailures(), range(30), dict.fromkeys(range(1, 6), 500 * MS)) == ()


def test_a_fast_disk_is_never_slow_however_fast_the_others_are() -> None:
    assert watch(GrayFailures(), range(30), {1: 10_000, 2: 10_000, 3: 5 * MS}) == ()


def test_two_disks_cannot_tell_which_of_them_is_slow() -> None:
    assert watch(GrayFailures(), range(30), {1: 2 * MS, 2: 900 * MS}) == ()


def test_never_more_than_a_minority_is_blamed_the_worst_first() -> None:
    gray = GrayFailures()
    many = {1: 2 * MS, 2: 2 * MS, 3: 2 * MS, 4: 50 * MS, 5: 90 * MS, 6: 70 * MS}
    watch(gray, range(30), many)
    assert gray.avoid(29 * SECOND) == (5, 6)


def test_a_link_that_works_one_way_blames_neither_end() -> None:
    gray = GrayFailures()
    found = watch(gray, range(30), WELL, frozenset({(1, 2)}))
    assert [(each.node, each.reason, each.peer) for each in found] == [(1, Reason.ONE_WAY, 2)]
    assert gray.avoid(29 * SECOND) == ()


def test_a_link_cut_both_ways_is_no_one_way_link() -> None:
    assert watch(GrayFailures(), range(30), WELL, frozenset({(1, 2), (2, 1)})) == ()


def test_a_node_that_hears_nobody_is_deaf() -> None:
    gray = GrayFailures()
    found = watch(gray, range(30), WELL, frozenset((peer, 4) for peer in (1, 2, 3, 5)))
    assert [(each.node, each.reason) for each in found] == [(4, Reason.DEAF)]
    assert gray.avoid(29 * SECOND) == (4,)


def test_a_node_whose_words_reach_few_is_mute() -> None:
    gray = GrayFailures()
    found = watch(gray, range(30), WELL, frozenset((4, peer) for peer in (1, 2, 3)))
    assert [(each.node, each.reason) for each in found] == [(4, Reason.MUTE)]


def test_a_node_that_reports_no_more_is_a_case_for_the_other_detectors() -> None:
    gray = GrayFailures()
    watch(gray, range(10), SLOW)
    watch(gray, range(10, 40), {node: fsync for node, fsync in SLOW.items() if node != 3})
    assert gray.avoid(39 * SECOND) == ()


def test_reports_that_make_no_sense_are_dropped() -> None:
    gray = GrayFailures(GrayOptions(max_members=2))
    for report in (
        Report(0, 1, {}),
        Report(1, -1, {}),
        Report(1, 1, {2: -1}),
        Report(1, 1, {2: 1, 3: 1, 4: 1}),
    ):
        gray.report(0, report)
    assert gray.dropped == 4
    gray.report(0, Report(1, 1, {}))
    gray.report(0, Report(2, 1, {}))
    gray.report(0, Report(3, 1, {}))
    assert gray.dropped == 5


def test_a_forgotten_node_leaves_nothing() -> None:
    gray = GrayFailures()
    watch(gray, range(10), SLOW, frozenset({(1, 2)}))
    gray.forget(3)
    gray.forget(2)
    assert gray.findings(9 * SECOND) == ()


def test_the_median_of_the_others() -> None:
    assert median_without([1, 2, 3, 100], 100) == 2
    assert median_without([1, 3, 100], 100) == 2
    assert median_without([1, 100], 100) == 0


def test_options_without_hysteresis_are_refused() -> None:
    with pytest.raises(ValueError, match="a disk between them flaps"):
        GrayOptions(well_factor=8)
    with pytest.raises(ValueError, match="silent_ns"):
        GrayOptions(silent_ns=SECOND)
