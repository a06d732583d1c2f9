"""Find out which rows have proof of consent: `CLEAN_ROWS, LISTED_OPTOUTS -> PROVEN_ROWS`.

A proof counts if its moment is readable, not in the future and not before 1995, if it has all parts that the vendor
requires, and if the person has not opted out since. A row without proof is sent as in an export without `subscribe`.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence

import pyarrow as pa

from airflow_provider_segexport.errors import InvalidArgument, InvalidSegment
from airflow_provider_segexport.field_values import read_time, read_zoned_time
from airflow_provider_segexport.model import ProofState
from airflow_provider_segexport.storage.duckdb_engine import Engine, literal, quoted
from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.plan import MappedColumn, SegmentFiles
from airflow_provider_segexport.storage.proof_columns import ARGUMENTS, CONSENTED_AT_COLUMN, ProofColumns
from airflow_provider_segexport.storage.tables import CLEAN_ROWS, LISTED_OPTOUTS, PROVEN_ROWS
from airflow_provider_segexport.vendors.base import ColumnType, Vendor
from airflow_provider_segexport.vendors.consent_proof import PROOF_AT, PROOF_PARTS, ConsentProof, MappedProof

MOMENT_TYPES: Sequence[ColumnType] = ("timestamp", "date", "text")
PART_TYPES: Sequence[ColumnType] = ("text",)

EARLIEST = "1995-01-01"
"""The earliest moment of consent that counts. An earlier moment is a default such as 1900-01-01 or 1970-01-01."""

ZONE_MARGIN_HOURS = 14
"""Hours by which a day or a time in the easternmost time zone is earlier than the same day or time in UTC. A moment at
midnight counts as a date."""

SENT_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
NAMED = frozenset(ProofState) - {ProofState.WITH_PROOF, ProofState.NO_MOMENT}
"""States of the rows that the report lists, because they have a moment of consent that does not count."""

ROWS = pa.schema([("row", pa.int64()), ("email", pa.string()), ("reason", pa.string())])

_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(\.{_OCTET}){{3}}"
_GROUP = "[0-9a-fA-F]{1,4}"
IP_ADDRESS = "|".join(
    [
        _IPV4,
        f"({_GROUP}:){{7}}{_GROUP}",
        f"({_GROUP}:){{1,7}}:",
        *(f"({_GROUP}:){{1,{7 - after}}}(:{_GROUP}){{1,{after}}}" for after in range(1, 7)),
        f":(:{_GROUP}){{1,7}}",
        "::",
        f"({_GROUP}:){{6}}{_IPV4}",
        f"::({_GROUP}:){{0,5}}{_IPV4}",
    ]
)
"""IPv4 and IPv6 addresses (RFC 4291, 2.2), without a zone."""

URL = r"[a-zA-Z][a-zA-Z0-9+.-]*://[!-~]+"


def check(vendor: Vendor, proof: ProofColumns, consent_column: str | None) -> None:
    """Check the arguments of the proof against the vendor.

    Args:
        vendor: the vendor of the audience.
        proof: the columns of the proof.
        consent_column: name of the consent column; None if there is none.

    Raises:
        InvalidArgument: there is no consent column, the vendor takes no proof or not a part of this one, or a part that
            the vendor requires is missing.
    """
    rule = vendor.consent_proof
    if not consent_column:
        raise InvalidArgument(
            "`subscribe` is 'with_proof', and `consent_column` is missing. Nothing was sent. To fix: pass "
            "`consent_column`."
        )
    if rule is None:
        raise InvalidArgument(
            f"`subscribe` is 'with_proof', and imports at {vendor.title} take no proof of consent, so it would have no "
            "effect: a new person has the same status with and without proof. Nothing was sent. To fix: leave out "
            "`subscribe` and the arguments of the proof. `consent_column` alone withholds people without consent."
        )
    given = proof.arguments()
    for part in sorted(given.keys() - rule.parts):
        raise InvalidArgument(
            f"`{given[part]}` is given, and {vendor.title} has no field for it in a proof of consent. To fix: leave "
            f"out `{given[part]}`."
        )
    if missing := [ARGUMENTS[part] for part in ARGUMENTS if part in rule.required - given.keys()]:
        names = ", ".join(f"`{name}`" for name in missing)
        raise InvalidArgument(
            f"{vendor.title} takes a proof of consent only with all of its parts, and {names} is missing. To fix: pass "
            f"{names}, or leave out `subscribe`."
        )


def resolve(
    proof: ProofColumns, files: SegmentFiles, date_formats: Mapping[str, str]
) -> tuple[tuple[MappedColumn, ...], MappedProof]:
    """Return the columns of the proof as they are read, and the proof as the vendor's template sees it.

    Args:
        proof: the columns that the export names.
        files: of the segment.
        date_formats: format by text column with dates. It may name the column with the moment.

    Raises:
        InvalidSegment: a column's type cannot hold its part.
    """
    _check_type(files, proof.consented_at, CONSENTED_AT_COLUMN, MOMENT_TYPES)
    text_format = date_formats.get(proof.consented_at, "")
    columns = [MappedColumn(PROOF_AT, proof.consented_at, "text", CONSENTED_AT_COLUMN, text_format=text_format)]
    for part, column in proof.columns.items():
        _check_type(files, column, ARGUMENTS[part], PART_TYPES)
        columns.append(MappedColumn(PROOF_PARTS[part], column, "text", ARGUMENTS[part]))
    types = [file.types.get(proof.consented_at) for file in files.files if proof.consented_at not in file.empty]
    is_in_utc = all(kind is not None and pa.types.is_timestamp(kind) and kind.tz is not None for kind in types)
    return tuple(columns), MappedProof(tuple(proof.columns), proof.text, is_in_utc)


def _check_type(files: SegmentFiles, column: str, argument: str, types: Sequence[ColumnType]) -> None:
    kind = files.columns[column]
    if kind in types:
        return
    number = (
        " A number may count seconds, milliseconds or days, so it is not read as a time."
        if kind in {"integer", "decimal"} and argument == CONSENTED_AT_COLUMN
        else ""
    )
    raise InvalidSegment(
        f"The column {column!r} (`{argument}`) is {files.type_names[column]}, and should be {' or '.join(types)}."
        f"{number} To fix: write the column with one of these types, or name another column in `{argument}`."
    )


def judge(engine: Engine, rule: ConsentProof, proof: MappedProof, now: float) -> float | None:
    """Create `judged_proofs`: `CLEAN_ROWS` with `proof_moment` and `proof_state`, before opt-outs are compared.

    Args:
        engine: holds `CLEAN_ROWS`.
        rule: the vendor's requirements for a proof.
        proof: the parts of the proof in this export.
        now: epoch seconds; a later moment does not count.

    Returns:
        The earliest time at which an opt-out can be later than a consent, epoch seconds; None if no row has proof.
    """
    usable = " and ".join(_usable(rule, part) for part in proof.columns if part in rule.required) or "true"
    engine.run(
        f"""create or replace view judged_proofs as
        select *, case
            when {PROOF_AT} is null then {literal(ProofState.NO_MOMENT)}
            when proof_moment is null then {literal(ProofState.UNREADABLE)}
            when proof_moment > make_timestamp({int(now * 1e6)}) then {literal(ProofState.IN_FUTURE)}
            when proof_moment < timestamp {literal(EARLIEST)} then {literal(ProofState.TOO_OLD)}
            when not ({usable}) then {literal(ProofState.INCOMPLETE)}
            else {literal(ProofState.WITH_PROOF)} end as proof_state
        from (select *, {read_time(PROOF_AT)} as proof_moment from {CLEAN_ROWS})"""
    )
    engine.run("create or replace table opted_out_later (row bigint)")
    earliest = f"select min(proof_moment) from judged_proofs where proof_state = {literal(ProofState.WITH_PROOF)}"
    (moment,) = engine.single_row(earliest)
    return None if moment is None else calendar.timegm(moment.timetuple()) - ZONE_MARGIN_HOURS * 3600.0


def _usable(rule: ConsentProof, part: str) -> str:
    """Return SQL of whether a part of the proof has a value that the vendor accepts."""
    column = PROOF_PARTS[part]
    if part == "ip":
        return f"coalesce(regexp_full_match({column}, {literal(IP_ADDRESS)}), false)"
    if part == "source" and rule.source_is_url:
        return f"coalesce(regexp_full_match({column}, {literal(URL)}), false)"
    return f"{column} is not null"


def find_opted_out_later(engine: Engine, proof: MappedProof) -> None:
    """Find the rows of people who have opted out since their consent, or at a time that the vendor does not report.

    If a consent has no time of day, an opt-out on the same day counts as later, in any time zone. If it has no zone, it
    may be the local time of any zone, so an opt-out in the 14 hours before it counts as later. The time of an opt-out
    is unknown without a time of day and a zone, and before 1995. An opt-out in the second of the consent counts
    as later, because a consent is sent without fractions, and vendors report opt-outs without them.

    Args:
        engine: holds `judged_proofs` and `LISTED_OPTOUTS`.
        proof: says whether moments without a zone are in UTC.
    """
    since = read_zoned_time("o.since")
    since = f"case when {since} >= timestamp {literal(EARLIEST)} then {since} end"
    has_no_zone = "false" if proof.is_in_utc else f"{read_zoned_time(f'j.{PROOF_AT}')} is null"
    is_vague = f"{has_no_zone} or j.proof_moment = date_trunc('day', j.proof_moment)"
    hours = f"case when {is_vague} then {ZONE_MARGIN_HOURS} else 0 end"
    consented = f"date_trunc('second', j.proof_moment) - to_hours({hours})"
    engine.run(
        f"""insert into opted_out_later
        select distinct j.row from judged_proofs j join {LISTED_OPTOUTS} o on o.email = j.email
        where j.proof_state = {literal(ProofState.WITH_PROOF)}
            and coalesce({since} >= {consented}, true)"""
    )


def prove(engine: Engine, rule: ConsentProof, proof: MappedProof) -> Mapping[str, Mapping[str, int]]:
    """Create `PROVEN_ROWS`: `CLEAN_ROWS` in which only rows with proof have values in the columns of the proof.

    Args:
        engine: holds `judged_proofs` and `opted_out_later`.
        rule: the vendor's requirements for a proof.
        proof: the parts of the proof in this export.

    Returns:
        Number of values that are left out of a proof, by argument and cause.
    """
    is_proven = f"proof_state = {literal(ProofState.WITH_PROOF)}"
    values = {PROOF_AT: f"strftime(proof_moment, '{SENT_FORMAT}')"}
    for part in proof.columns:
        column = PROOF_PARTS[part]
        values[column] = f"case when {_usable(rule, part)} then {column} end"
    replaced = ", ".join(f"case when {is_proven} then {sql} end as {quoted(name)}" for name, sql in values.items())
    engine.run(
        f"""create or replace view {PROVEN_ROWS} as
        select * exclude (proof_moment) replace ({replaced}) from (
            select j.* replace (
                case when l.row is not null then {literal(ProofState.OPTED_OUT_LATER)} else j.proof_state end
                as proof_state)
            from judged_proofs j left join opted_out_later l on l.row = j.row)"""
    )
    return _left_out(engine, rule, proof, is_proven)


def _left_out(engine: Engine, rule: ConsentProof, proof: MappedProof, is_proven: str) -> dict[str, dict[str, int]]:
    """Count the values of optional parts that do not have the form of their part, by argument and cause."""
    if "ip" not in proof.columns or "ip" in rule.required:
        return {}
    invalid = f"{PROOF_PARTS['ip']} is not null and not {_usable(rule, 'ip')}"
    (count,) = engine.single_row(f"select count(*) from judged_proofs where {is_proven} and {invalid}")
    return {ARGUMENTS["ip"]: {"left_out_invalid_value": int(count)}} if count else {}


def count_states(engine: Engine) -> dict[str, int]:
    """Return the number of rows that may be sent, by state. `NOT_SENT` must be complete before."""
    counts = dict(engine.rows(f"select proof_state, count(*) from {PROVEN_ROWS} group by all"))
    return {str(state): int(counts.get(state, 0)) for state in ProofState}


def write_named(engine: Engine, path: StoragePath) -> None:
    """Write the rows whose moment of consent does not count, for the report."""
    states = ", ".join(literal(state) for state in sorted(NAMED))
    rows = f"select row, email, proof_state as reason from {PROVEN_ROWS} where proof_state in ({states}) order by row"
    write_parquet(path, engine.stream(rows), ROWS)
