"""Guards: what is measured, what has tripped, and what is said."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_segexport.errors import GuardTripped
from airflow_provider_segexport.guards import GUARDS, Guard
from airflow_provider_segexport.stages import guards

USUAL = guards.GuardInputs(
    rows=1000,
    rows_before=1000,
    is_first=False,
    members=1000,
    leavers=0,
    new_people=10,
    contact_headroom=None,
    not_sent={},
)


def measured(named=None, **figures):
    """Tripped guards by name, with the measured figure."""
    named = named or {}
    results = guards.measure(replace(USUAL, **figures), ({**GUARDS, **named}).get, named)
    return {result.name: result.measured for result in results if result.tripped}


def test_a_usual_run_trips_nothing():
    """A segment like the last one goes out without a warning."""
    assert {} == measured()


@pytest.mark.parametrize(
    ("figures", "tripped"),
    [
        ({"rows": 0, "rows_before": 0}, {"min_rows": 0}),
        ({"rows": 499}, {"max_shrink": 0.501}),
        ({"rows": 500}, {}),
        ({"rows": 3001}, {"max_growth": 2.001}),
        ({"leavers": 151}, {"max_removals_share": 0.151}),
        ({"leavers": 150}, {}),
        ({"not_sent": {"rejected": {"invalid_email": 150, "no_email": 51}}}, {"max_invalid_emails_share": 0.201}),
        ({"not_sent": {"rejected": {"value_too_long": 900}}}, {}),
        ({"not_sent": {"withheld": {"duplicate": 501}}}, {"max_duplicates_share": 0.501}),
        ({"contact_headroom": 9}, {"min_contact_headroom": -1}),
        ({"contact_headroom": 10}, {}),
    ],
)
def test_each_guard_has_its_limit(figures, tripped):
    """Just inside the limit nothing trips, just beyond it does."""
    assert pytest.approx(tripped) == measured(**figures)


def shares(part, total):
    """Figures in which each guard of a share measures `part / whole`."""
    yield "max_growth", {"rows": total + part, "rows_before": total}
    yield "max_removals_share", {"leavers": part, "members": total}
    yield "max_shrink", {"rows": total - part, "rows_before": total}
    yield (
        "max_invalid_emails_share",
        {"rows": total, "rows_before": total, "not_sent": {"rejected": {"invalid_email": part}}},
    )
    yield "max_duplicates_share", {"rows": total, "rows_before": total, "not_sent": {"withheld": {"duplicate": part}}}


def trips(name, limit, figures):
    results = guards.measure(replace(USUAL, **figures), {name: Guard(limit)}.get, {})
    return [result.tripped for result in results] == [True]


@pytest.mark.parametrize(("before", "rows", "limit"), [(10, 11, 0.1), (100, 115, 0.15), (100, 129, 0.29)])
def test_a_limit_that_is_reached_exactly_does_not_trip_grows(before, rows, limit):
    """One row more does."""
    assert not trips("max_growth", limit, {"rows": rows, "rows_before": before})
    assert trips("max_growth", limit, {"rows": rows + 1, "rows_before": before})


@pytest.mark.parametrize(("before", "rows", "limit"), [(10, 7, 0.3), (100, 71, 0.29), (1000, 900, 0.1)])
def test_a_limit_that_is_reached_exactly_does_not_trip_shrinks(before, rows, limit):
    """One row fewer does."""
    assert not trips("max_shrink", limit, {"rows": rows, "rows_before": before})
    assert trips("max_shrink", limit, {"rows": rows - 1, "rows_before": before})


@given(st.integers(1, 1000), st.integers(20, 5_000_000), st.integers(-1, 1))
def test_guards_of_shares_trip_above_the_limit_and_not_at_it(thousandths, total, off):
    """Held against exact fractions, at the limit and one row beside it."""
    limit = thousandths / 1000
    part = min(max(total * thousandths // 1000 + off, 1), total)
    expected = Fraction(part, total) > Fraction(thousandths, 1000)
    for name, figures in shares(part, total):
        if figures.get("rows", total):
            assert trips(name, limit, figures) == expected, name
    look = guards.reject_watch(Guard(limit), lambda _: None)
    if total >= guards.MIN_SETTLED_ROWS:
        assert (look(total, part) is not None) == expected


def test_removals_may_be_bounded_by_a_number():
    """Off unless the export names it."""
    assert {} == measured(leavers=100)
    assert {"max_removals": 100} == measured({"max_removals": Guard(99)}, leavers=100)


def test_what_cannot_be_measured_has_tripped():
    """A last export of unknown size, and a headroom that the export asks for and the vendor does not tell."""
    assert {"max_shrink": None, "max_growth": None} == measured(rows_before=None)
    assert {"min_contact_headroom": None} == measured({"min_contact_headroom": Guard(100)})


def test_a_handful_of_rows_has_no_share_of_bad_ones():
    """One bad address among three is no reason to stop."""
    few = {"rows_before": 3, "members": 3, "not_sent": {"rejected": {"invalid_email": 2}, "withheld": {"duplicate": 2}}}
    assert {} == measured(rows=3, **few)
    assert {"max_invalid_emails_share": 0.25} == measured(
        rows=20, rows_before=20, not_sent={"rejected": {"invalid_email": 5}}
    )


def test_a_first_export_has_nothing_to_be_compared_with():
    """No export has come to its end yet: there is no last one."""
    assert {} == measured(rows_before=None, is_first=True)


def test_a_guard_may_be_switched_off():
    """None is off."""
    assert {} == measured({"max_shrink": None}, rows=1)


def stopped(named, **figures):
    return guards.blocking_error(guards.measure(replace(USUAL, **figures), named.get, named))


def test_only_fail_stops():
    """`warn` goes on; `skip_removals` leaves the removals undone; any other guard stops all the same."""
    assert None is stopped({"max_shrink": Guard(0.5, "warn")}, rows=1)
    assert None is stopped({"max_removals_share": Guard(0.1, "skip_removals")}, leavers=500)
    assert isinstance(stopped({"max_shrink": Guard(0.5)}, rows=1), GuardTripped)
    assert isinstance(stopped({"max_shrink": Guard(0.5, "skip_removals")}, rows=1), GuardTripped)


def test_the_error_says_what_happened_and_what_to_do():
    """Every guard that stopped it is named, with its figures and its limit."""
    error = stopped({"max_shrink": Guard(0.5), "max_removals_share": Guard(0.15)}, rows=10, leavers=990)
    assert (
        "Nothing is sent: The segment has 10 rows, and the last one that was exported had 1,000. (guard `max_shrink`, "
        "limit 0.5) 990 of 1,000 people would be taken out of the audience. (guard `max_removals_share`, limit 0.15) "
        "To fix: correct the segment. If it is right, change the limit for this run: `guards={'max_shrink': ...}`, or "
        "None to disable the guard."
    ) == str(error)


def test_the_guard_that_keeps_the_leavers_is_named():
    """The report says why they stayed."""
    results = guards.measure(replace(USUAL, leavers=500), {"max_removals_share": Guard(0.1, "skip_removals")}.get, {})
    assert "max_removals_share" == guards.removal_guard(results)
    assert "" == guards.removal_guard(guards.measure(USUAL, GUARDS.get, {}))


def test_rejects_stop_the_sending_when_there_are_enough_of_them():
    """It acts when some hundreds of rows have a result, and then at the first check beyond the share."""
    look = guards.reject_watch(Guard(0.3), lambda _: None)
    assert look
    assert [None, None] == [look(199, 199), look(200, 60)]
    assert "61 of the first 200 rows were rejected" in str(look(200, 61))


def test_rejects_may_only_be_warned_of():
    """Once, and the sending goes on."""
    warned = []
    look = guards.reject_watch(Guard(0.3, "warn"), warned.append)
    assert look
    assert [None, None] == [look(1000, 500), look(2000, 1000)]
    assert [
        "500 of the first 1,000 rows were rejected by the vendor (guard `max_rejected_share`, limit 0.3)."
    ] == warned
    assert None is guards.reject_watch(None, warned.append)


def test_a_suppression_list_that_is_not_understood_stops_the_run():
    """The error quotes the list's message; the guard may be relaxed or disabled."""
    lists = [(0, 9, "List a: fine."), (1, 2, "List b: 1 of 2."), (1, 10, "List c: few."), (0, 0, "List d: empty.")]
    of = replace(USUAL, lists=lists)
    error = str(guards.blocking_error(guards.measure(of, GUARDS.get, {})))
    assert "List b: 1 of 2. List c: few. (guard `max_unreadable_suppression_share`, limit 0)" in error
    for limit, tripped in ((0.5, False), (0.49, True)):
        named = {"max_unreadable_suppression_share": Guard(limit)}
        assert tripped == any(result.tripped for result in guards.measure(of, named.get, named))
    assert guards.blocking_error(guards.measure(of, lambda _: None, {})) is None
    assert "max_unreadable_suppression_share" not in measured(lists=[(0, 9, "List a: fine."), (0, 0, "List d: empty.")])
