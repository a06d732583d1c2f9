"""SQL of the next version of a ledger, from the previous version and a run's results.

It reads the tables that the stage `update_ledger` creates: `previous`, `previous_touched`, `delivered_rows`,
`rejected_rows`, `removed_now`, `already_gone`, `changed_emails`, `planned_sharers`, `planned_bars`, `planned_existing`.
In each statement `l` is a person's previous row and `n` the run's result.
"""

from __future__ import annotations

from collections.abc import Collection

from airflow_provider_segexport.model import OPTED_OUT, Reason
from airflow_provider_segexport.storage import per_export
from airflow_provider_segexport.storage.duckdb_engine import listed, literal
from airflow_provider_segexport.storage.ledger_facts import LedgerCommit
from airflow_provider_segexport.storage.ledger_schema import (
    LEFT,
    MAYBE_MEMBER,
    MEMBER,
    NOT_ADDED,
    REMOVED,
    REMOVING,
    counts_attempts,
)
from airflow_provider_segexport.storage.per_export import NO_HASHES, NOT_REJECTED, NOT_REJECTED_BY, PerExport

PERSON_REJECTED = OPTED_OUT | {Reason.DELETED, Reason.PENDING_CONFIRMATION, Reason.INVALID_EMAIL}
"""Reasons with which a vendor rejects a person and not a value: the person is not a mailable member."""

RESULT_UNKNOWN = frozenset({Reason.NO_RESULT, Reason.JOB_FAILED})
"""Reasons that leave open whether the vendor has accepted a row, so its person may be in the audience."""

REMOVAL_UNKNOWN = RESULT_UNKNOWN | {Reason.STILL_IN_AUDIENCE}
"""Reasons that leave open whether the vendor removes a person: it may do so after the last read-back."""

UNCONFIRMED = f"(l.state = '{MEMBER}' and l.added_at is null)"
"""SQL condition: an earlier run sent the person, and no response has reported the result."""

REMOVED_BY_EXPORT = f"(l.state = '{REMOVING}' and n.reason not in ('{Reason.UNSUBSCRIBED}', '{Reason.SUPPRESSED}'))"
"""SQL condition: a person who is not in the audience was removed by a call that got no response."""

MAYBE_STATE = f"if(l.state in ('{REMOVED}', '{REMOVING}'), '{REMOVING}', '{MEMBER}')"
"""SQL of the state of a person who was sent without a known result."""

WITH_PREVIOUS = """left join previous_touched l on l.email = n.email
        left join planned_existing x on x.email = n.email"""

NO_ROWS = "select * from previous_touched where false"
"""SQL that gives a part the names and types of the ledger's columns."""

MAX_COUNTED_ATTEMPTS = 255
"""Rejections of the same content that are counted at most: the column `attempts` has one byte."""

CHANGES = (
    "delivered_rows",
    "rejected_rows",
    "removed_now",
    "already_gone",
    "planned_sharers",
    "planned_bars",
    "planned_existing",
)
"""The tables of changes, one for each kind. A table may be empty."""


def parts(origin: LedgerCommit, changes: Collection[str], *, first: bool, was_read: bool) -> list[str]:
    """Return SQL statements whose rows together are the next version, in the columns of `ledger_schema.SCHEMA`.

    Each hash join holds up to 10 MB, also for a small table, and a union of all parts would open all joins at once.

    Args:
        origin: the run.
        changes: names of the tables of `CHANGES` that have a row. The other tables are left out of the SQL.
        first: there is no previous version.
        was_read: the run has read who is in the audience, so `planned_existing` is complete.
    """
    own = per_export.of(origin)
    noted = _barred_and_existed(was_read=was_read)
    selects = [] if first else [_unchanged_rows(own.slot, changes)]
    if "delivered_rows" in changes:
        selects += _delivered_rows(origin, own, noted)
    if "rejected_rows" in changes:
        selects.append(_rejected_rows(origin, own, noted))
    if not {"removed_now", "already_gone"}.isdisjoint(changes):
        selects += _gone_rows(origin)
    statements = [f"{NO_ROWS} union all {select}" for select in selects]
    if "planned_existing" in changes:
        statements.append(f"{NO_ROWS} union all by name {_existing_rows(first=first)}")
    if "planned_bars" in changes:
        statements = [_with_bars(statement) for statement in statements]
        statements.append(f"{NO_ROWS} union all by name {_barred_rows(first=first)}")
    return statements


def _barred_and_existed(*, was_read: bool) -> str:
    """Return SQL of the columns `barred` and `existed` of a person with a result.

    A person that the ledger holds as a member keeps their `existed`. For the others, what this run has read counts. If
    it has read nothing, what an earlier run noted about a person that no export has added counts.
    """
    held = MAYBE_MEMBER if was_read else f"('{MEMBER}', '{REMOVING}', '{NOT_ADDED}')"
    return f"l.barred, coalesce(if(l.state in {held}, l.existed, null), x.email is not null)"


def _run_sql(origin: LedgerCommit) -> tuple[str, str]:
    """Return SQL of the run's `as_of` and name."""
    return f"{literal(origin.as_of)}::timestamptz", literal(origin.run)


def _time_sql(epoch_s: float) -> str:
    return f"make_timestamptz({int(epoch_s * 1e6)})"


def _delivered_rows(origin: LedgerCommit, own: PerExport, noted: str) -> tuple[str, str]:
    """Return SQL of the rows of people that the run delivered, and of those that it sent without getting a response."""
    as_of, run = _run_sql(origin)
    rejection = "l.rejected_hash, l.reason, l.attempts, l.first_rejected_at, l.last_rejected_at"
    with_result = f"""select n.email, n.row_hash, coalesce(n.contact_id, l.contact_id), {as_of}, {run}, '{MEMBER}',
            coalesce(if(l.state = '{MEMBER}', l.added_at, null), {_time_sql(origin.ended_at)}), {own.delivered},
            {own.sharers_mask}, {own.slot}, {own.hashes}, {own.delivered_by}, {noted}
        from delivered_rows n {WITH_PREVIOUS} where n.row_hash is not null"""
    open_result = f"""select n.email, null, l.contact_id,
            if({UNCONFIRMED}, l.as_of, {as_of}), if({UNCONFIRMED}, l.run, {run}), {MAYBE_STATE},
            if(l.state = '{NOT_ADDED}', null, l.added_at), {rejection},
            {own.sharers_mask}, {own.slot}, {own.hashes}, l.rejected_by, l.rejections, {noted}
        from delivered_rows n {WITH_PREVIOUS} where n.row_hash is null"""
    return with_result, open_result


def _rejected_rows(origin: LedgerCommit, own: PerExport, noted: str) -> str:
    """Return SQL of the rows of people whose rows were rejected, or may have been."""
    as_of, run = _run_sql(origin)
    now, started = _time_sql(origin.ended_at), _time_sql(origin.started_at)
    last = own.last
    same_content = f"({last['rejected_hash']} = n.row_hash and {counts_attempts(last['first_rejected_at'], now)})"
    counted = f"{last['attempts']}::integer + ({last['last_rejected_at']} < {started})::integer"
    attempts = f"if({same_content}, least({counted}, {MAX_COUNTED_ATTEMPTS}), 1)::utinyint"
    may_be_accepted = f"(n.reason in ({listed(RESULT_UNKNOWN)}) and coalesce(l.state, '{NOT_ADDED}') <> '{LEFT}')"
    by_this_run = f"(l.run = {run} and l.as_of = {as_of})"
    # Never added: only this run has sent them, or no response ever confirmed it and the vendor rejects the person.
    person_rejected = f"(l.added_at is null and n.reason in ({listed(PERSON_REJECTED)}))"
    first_sent_now = f"({by_this_run} and (l.added_at is null or l.added_at > {started}))"
    never_added = f"(l.state = '{MEMBER}' and ({first_sent_now} or {person_rejected}))"
    # A vendor that rejects a value says nothing about the person, who may still be in the audience.
    is_out = f"(l.state = '{REMOVING}' and n.reason in ({listed(PERSON_REJECTED)}))"
    state = f"""case when {may_be_accepted} then {MAYBE_STATE} when {never_added} then '{NOT_ADDED}'
        when {is_out} then '{REMOVED}' else coalesce(l.state, '{NOT_ADDED}') end"""
    is_claimed = f"({may_be_accepted} or (l.state in {MAYBE_MEMBER} and not {never_added} and not {is_out}))"
    is_unknown = f"({may_be_accepted} or {by_this_run} or l.state is distinct from '{MEMBER}')"
    return f"""select n.email, if({is_unknown}, null, l.row_hash), l.contact_id,
            coalesce(l.as_of, if({may_be_accepted}, {as_of}, null)),
            coalesce(l.run, if({may_be_accepted}, {run}, null)),
            {state}, if({never_added}, null, l.added_at), n.row_hash, n.reason, {attempts},
            if({same_content}, {last["first_rejected_at"]}, {now}), {now},
            if({is_claimed}, {own.sharers_mask}, 0::ubigint),
            if({may_be_accepted}, {own.slot}, l.sent_by), if(l.state = '{MEMBER}', l.hashes, null), {own.rejected_by},
            {noted}
        from rejected_rows n {WITH_PREVIOUS}"""


def _unchanged_rows(slot: str, changes: Collection[str]) -> str:
    """Return SQL of the rows without a result, but for claims, content and `existed` that the plan changes."""
    columns, joins = [], ""
    if "planned_sharers" in changes:
        hashes = f"if(s.row_hash is null, l.hashes, map_concat(l.hashes, map([{slot}], [s.row_hash])))"
        columns = ["coalesce(s.sharers_mask, l.sharers_mask) as sharers_mask", f"{hashes} as hashes"]
        joins = "left join planned_sharers s on s.email = l.email"
    if "planned_existing" in changes:
        columns.append(f"coalesce(l.existed, false) or (x.email is not null and l.state = '{NOT_ADDED}') as existed")
        joins += " left join planned_existing x on x.email = l.email"
    replaced = f"replace ({', '.join(columns)})" if columns else ""
    return f"select l.* {replaced} from previous l {joins} anti join changed_emails c on c.email = l.email"


def _existing_rows(*, first: bool) -> str:
    """Return SQL of the rows of people who were members before any export, without a result and a previous row."""
    not_held = "" if first else "anti join previous l on l.email = x.email"
    return f"""select x.email, '{NOT_ADDED}' as state, 0::ubigint as sharers_mask, true as existed
        from planned_existing x {not_held} anti join changed_emails c on c.email = x.email"""


def _gone_rows(origin: LedgerCommit) -> tuple[str, str]:
    """Return SQL of the rows of people who were removed, and of those who were not in the audience any more."""
    as_of, run = _run_sql(origin)
    other_columns = (
        f"l.added_at, {NOT_REJECTED}, 0::ubigint, null::utinyint, {NO_HASHES}, {NOT_REJECTED_BY}, l.barred, false"
    )
    left_on_their_own = f"(l.added_at is not null and {str(origin.keep_left).lower()})"
    removed = f"""select n.email, null, l.contact_id, {as_of}, {run},
            if(n.row_hash is null, '{REMOVING}', '{REMOVED}'), {other_columns}
        from removed_now n left join previous_touched l on l.email = n.email"""
    gone = f"""select l.email, null, l.contact_id, {as_of}, {run},
            case when {REMOVED_BY_EXPORT} then '{REMOVED}' when {left_on_their_own} then '{LEFT}'
                else '{NOT_ADDED}' end, {other_columns}
        from already_gone n join previous_touched l on l.email = n.email
        left join planned_bars b on b.email = n.email
        where {REMOVED_BY_EXPORT} or {left_on_their_own} or coalesce(b.barred, l.barred, 0) <> 0"""
    return removed, gone


def _with_bars(sql: str) -> str:
    """Return SQL of the same rows with the changed bars."""
    return f"""select r.* replace (coalesce(b.barred, r.barred) as barred)
        from ({sql}) r left join planned_bars b on b.email = r.email"""


def _barred_rows(*, first: bool) -> str:
    """Return SQL of the rows of barred people without a result and a previous row."""
    not_held = "" if first else "anti join previous l on l.email = b.email"
    return f"""select b.email, b.barred, '{NOT_ADDED}' as state, 0::ubigint as sharers_mask
        from planned_bars b {not_held} anti join changed_emails c on c.email = b.email
            anti join planned_existing x on x.email = b.email"""
