"""Read suppression lists and match them with people: `files, VALID_EMAIL_ROWS -> SUPPRESSED_EMAILS, tallies`.

An entry is an address, parsed like the segment's addresses, or a hash of one. Each entry is counted as blank,
understood or not understood, because a list that is not understood protects no person and must not pass unnoticed.

`read` creates `suppression_entries(list, file, row, kind, key)`, a row for each entry that is understood. `key` is the
address or the hexadecimal hash. `match` creates `SUPPRESSED_EMAILS`, `match_members` creates `SUPPRESSED_MEMBERS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

import pyarrow as pa

from airflow_provider_segexport import email_address
from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.model import Reason
from airflow_provider_segexport.segment_files.raw_digests import ADDRESS, DIGEST_BYTES, TEXT, cell_text
from airflow_provider_segexport.segment_files.suppression_files import EntryColumns, read_entries
from airflow_provider_segexport.storage.arrow import string_array
from airflow_provider_segexport.storage.duckdb_engine import Engine
from airflow_provider_segexport.storage.email_column import validate_column
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.tables import (
    LEDGER_MEMBERS,
    SUPPRESSED_EMAILS,
    SUPPRESSED_MEMBERS,
    VALID_EMAIL_ROWS,
)
from airflow_provider_segexport.trimming import trimmed_sql

MAX_EXAMPLES = 5
"""Maximum rows that the message names as not understood."""

DIGITS = {kind: 2 * size for kind, size in DIGEST_BYTES.items()}
"""Hexadecimal digits by kind of hash. The kind is the name of the engine's function."""

_LENGTHS = ", ".join(map(str, DIGITS.values()))

PREFIX = {"md5": "md5", "sha1": "sha-?1", "sha256": "sha-?256"}
BASE64 = {
    "md5": "[0-9A-Za-z+/_-]{21}[AQgw](==)?",
    "sha1": "[0-9A-Za-z+/_-]{26}[AEIMQUYcgkosw048]=?",
    "sha256": "[0-9A-Za-z+/_-]{42}[AEIMQUYcgkosw048]=?",
}
"""Pattern of a hash in Base64 by kind of hash, also in the alphabet for URLs. The unused bits of the last character
are 0."""

NOT_BASE64 = "([A-Za-z]?[a-z]*[_/+-])*[A-Za-z]?[a-z]*[A-Za-z]?|[A-Z_/+-]*"
"""Words such as `unsubscribed_marketing`, which has the length of an MD5 in Base64. One of twenty million MD5 hashes
without padding matches, and practically no longer hash."""

FIGURES = ("name", "read", "blank", "understood", "not_understood", "matched")
"""Fields of a tally that a report shows."""

WILDCARD_ENTRY = r"[%*?._+-]+@.*|.*\*.*@.*"
"""An entry such as `*@example.com`. It is a valid address but meant as a pattern, which suppression lists do not
support."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a list's entries. Every entry read is blank, understood or not understood.

    Attributes:
        name: name of the list.
        read, blank, understood, not_understood: numbers of entries.
        matched: number of entries that match a person of the segment.
        examples: file and row, from 0, of the first entries that are not understood.
        unread_columns: columns that are not read, although they may hold addresses or hashes by their names.
        only_hashes: whether all understood entries are hashes; False without an understood entry.
    """

    name: str
    read: int = 0
    blank: int = 0
    understood: int = 0
    not_understood: int = 0
    matched: int = 0
    examples: tuple[tuple[str, int], ...] = ()
    unread_columns: tuple[str, ...] = ()
    only_hashes: bool = False

    def figures(self) -> dict[str, Any]:
        """Return the counts for a report."""
        return {name: value for name, value in asdict(self).items() if name in FIGURES}

    @property
    def unclear(self) -> tuple[int, int]:
        """Number of entries that are not understood, and of entries that are not blank.

        If every entry is blank, all entries count as not understood.
        """
        if self.read and self.blank == self.read:
            return self.read, self.read
        return self.not_understood, self.understood + self.not_understood

    def message(self) -> str:
        """Return a sentence on the entries that are not understood, without any value."""
        if self.read and self.blank == self.read:
            return f"Suppression list {self.name}: all of {counted(self.read, 'entry')} are empty."
        if not self.not_understood:
            return f"Suppression list {self.name}: all entries are understood."
        rows = "; ".join(
            f"{file}, row {', '.join(str(row) for _, row in group)}"
            for file, group in groupby(self.examples, key=lambda example: example[0])
        )
        more = ", ..." if self.not_understood > len(self.examples) else ""
        return (
            f"Suppression list {self.name}: {self.not_understood:,} of {counted(self.read, 'entry')} not understood as "
            f"an email address or a hash of one (rows from 0: {rows}{more}). To fix: correct or remove these entries."
        )


def read(engine: Engine, lists: Sequence[tuple[str, Sequence[tuple[StoragePath, str]]]]) -> list[Tally]:
    """Read all lists into `suppression_entries`.

    Args:
        engine: gets `suppression_entries`.
        lists: the name of each list, and its files with their names.

    Returns:
        A tally for each list, without the matches.

    Raises:
        InvalidSegment: a file cannot be read, or none of its columns can hold the entries.
    """
    engine.run(
        """create or replace table suppression_entries (
            list integer, file integer, row bigint, kind varchar, key varchar)"""
    )
    tallies = []
    for number, (name, files) in enumerate(lists):
        tally = Tally(name)
        for at, (path, file) in enumerate(files):
            for columns, table in read_entries(path, file):
                unread = dict.fromkeys((*tally.unread_columns, *columns.unread))
                tally = replace(tally, unread_columns=tuple(unread))
                _classify(engine, columns, table)
                engine.run(
                    f"""insert into suppression_entries select {number}, {at}, row, kind, key from suppression_batch
                    where kind not in ('blank', 'unsendable')"""
                )
                tally = _with_batch(engine, tally, file)
        tallies.append(tally)
    return tallies


def _classify(engine: Engine, columns: EntryColumns, table: pa.Table) -> None:
    """Create `suppression_batch(row, kind, key)`: a batch's cells; `kind` is null if a cell is not understood."""
    engine.table("suppression_raw", table)
    cells = ", ".join(
        cell_text(engine, "suppression_raw", f"cell_{at}", digests=digests) for at, digests in enumerate(columns.binary)
    )
    engine.run(
        f"""create or replace table suppression_cells as select row, cell, {_kind("cell")} as kind
        from (select row, {trimmed_sql("cell")} as cell
            from (select row, unnest([{cells}]) as cell from suppression_raw))"""
    )
    validate_column(engine, "(select rowid as row, cell as email from suppression_cells where kind = 'email')", "list_")
    engine.run(
        f"""create or replace table suppression_batch as
        select row, kind, {_digits("cell")} as key from suppression_cells where kind is distinct from 'email'
        union all select c.row, case when j.email is not null then 'email'
            when j.reason = '{Reason.NON_ASCII_EMAIL}' then 'unsendable' end, j.email
        from suppression_cells c join list_validated_emails j on j.row = c.rowid"""
    )


def _kind(cell: str) -> str:
    """Return SQL of a trimmed cell's kind, by its length and by a prefix that must agree with the length."""
    bare = " ".join(f"when {digits} then '{kind}'" for kind, digits in DIGITS.items())
    hashes = " ".join(
        f"when regexp_full_match({cell}, '{_hash(kind)}') then case when not {_is_text(cell, kind)} then '{kind}' end"
        for kind in DIGITS
    )
    return f"""case when {cell} is null or {cell} = '' then 'blank'
        when contains({cell}, '@') or {cell} ilike 'mailto:%' then
            case when not regexp_full_match({cell}, '{WILDCARD_ENTRY}') then 'email' end
        when strlen({cell}) in ({_LENGTHS}) and regexp_full_match({cell}, '[0-9a-fA-F]+') then
            case strlen({cell}) {bare} end
        {hashes} end"""


def _hash(kind: str) -> str:
    """Return the pattern of a hash as text: hexadecimal or Base64."""
    named = rf"(?i:{PREFIX[kind]}[:=-]\s?)?"
    return rf"{named}((0[xX]|\\x)?[0-9a-fA-F]{{{DIGITS[kind]}}}|{BASE64[kind]})"


def _is_text(cell: str, kind: str) -> str:
    """Return SQL of whether a cell with the pattern of a hash is a word, or Base64 of an address or of another text."""
    digits = f"coalesce(try(hex({_decoded(cell, kind)})), '')"  # empty for hexadecimal
    is_utf8 = f"try(decode({_decoded(cell, kind)})) is not null"
    return f"""(regexp_full_match({cell}, '{NOT_BASE64}') or regexp_full_match({digits}, '{TEXT}')
        or (regexp_full_match({digits}, '{ADDRESS}') and {is_utf8}))"""


def _decoded(cell: str, kind: str) -> str:
    """Return SQL of the bytes of a hash in Base64."""
    coded = f"rtrim(regexp_extract({cell}, '{BASE64[kind]}$'), '=')"
    return f"from_base64(rpad(translate({coded}, '-_', '+/'), {-(-DIGEST_BYTES[kind] // 3) * 4}, '='))"


def _digits(cell: str) -> str:
    """Return SQL of the hexadecimal digits of a hash."""
    choices = []
    for kind, digits in DIGITS.items():
        tail = f"lower(regexp_extract({cell}, '[0-9a-fA-F]{{{digits}}}$'))"
        choices.append(
            f"""when kind = '{kind}' then case when strlen({cell}) = {digits} then lower({cell})
                when {tail} != '' then {tail} else lower(hex({_decoded(cell, kind)})) end"""
        )
    return f"case {' '.join(choices)} end"


def _with_batch(engine: Engine, tally: Tally, file: str) -> Tally:
    """Return the tally with a batch added. An entry is understood if each of its cells is understood or blank."""
    engine.run(
        """create or replace table suppression_rows as
        select row, bool_and(kind is not null and kind = 'blank') as blank, bool_or(kind is null) as not_understood
        from suppression_batch group by row"""
    )
    sums = "count(*), count_if(blank), count_if(not_understood)"
    rows, blank, not_understood = engine.single_row(f"select {sums} from suppression_rows")
    examples = tally.examples
    if not_understood and len(examples) < MAX_EXAMPLES:
        limit = MAX_EXAMPLES - len(examples)
        bad_rows = engine.rows(f"select row from suppression_rows where not_understood order by row limit {limit}")
        examples += tuple((file, int(row)) for (row,) in bad_rows)
    return replace(
        tally,
        read=tally.read + rows,
        blank=tally.blank + blank,
        understood=tally.understood + rows - blank - not_understood,
        not_understood=tally.not_understood + not_understood,
        examples=examples,
    )


def match(engine: Engine, tallies: Sequence[Tally]) -> list[Tally]:
    """Create `SUPPRESSED_EMAILS` from `VALID_EMAIL_ROWS`; return the tallies with their matches."""
    _find(engine, VALID_EMAIL_ROWS, "suppression_hits")
    engine.run(f"create or replace table {SUPPRESSED_EMAILS} as select distinct email from suppression_hits")
    counts = dict(
        engine.rows(
            """select list, count(*) from (select distinct list, file, row from suppression_entries s
                semi join suppression_hits h on h.kind = s.kind and h.key = s.key) group by list"""
        )
    )
    hashed = dict(engine.rows("select list, bool_and(kind != 'email') from suppression_entries group by list"))
    return [
        replace(tally, matched=counts.get(number, 0), only_hashes=hashed.get(number, False))
        for number, tally in enumerate(tallies)
    ]


def match_members(engine: Engine) -> None:
    """Create `SUPPRESSED_MEMBERS`: people of the ledger who are in a list, whether or not the segment has them."""
    _find(engine, LEDGER_MEMBERS, "member_hits")
    engine.run(f"create or replace table {SUPPRESSED_MEMBERS} as select distinct email from member_hits")


def match_no_members(engine: Engine) -> None:
    """Create `SUPPRESSED_MEMBERS` without a row."""
    engine.run(f"create or replace table {SUPPRESSED_MEMBERS} (email varchar)")


def _find(engine: Engine, people: str, hits: str) -> None:
    """Create the table `hits(email, kind, key)`: the people of the table `people(email)` who are in a list."""
    engine.run(f"create or replace table {hits} (email varchar, kind varchar, key varchar)")
    kinds = [kind for (kind,) in engine.rows("select distinct kind from suppression_entries")]
    if set(kinds) - {"email"}:
        _create_forms(engine, people)
    for kind in kinds:
        hashed = f"(select email, {kind}(form) as key from suppression_forms)"
        plain = f"(select email, email as key from {people})"
        engine.run(
            f"""insert into {hits} select distinct email, '{kind}', key from {plain if kind == "email" else hashed} p
            semi join (select distinct key from suppression_entries where kind = '{kind}') s on s.key = p.key"""
        )


def _create_forms(engine: Engine, people: str) -> None:
    """Create `suppression_forms(email, form)`: each address with the ASCII and with the Unicode form of its domain."""
    coded = f"select email, split_part(email, '@', 2) as domain from {people} where contains(email, 'xn--')"
    engine.run("create or replace table suppression_domains (domain varchar, form varchar)")
    for batch in engine.stream(f"select distinct domain from ({coded})"):
        forms = string_array(email_address.unicode_domain(domain) for domain in batch.column(0).to_pylist())
        engine.append("suppression_domains", pa.table({"domain": batch.column(0), "form": forms}), "from incoming")
    engine.run(
        f"""create or replace view suppression_forms as select email, email as form from {people}
        union all select c.email, split_part(c.email, '@', 1) || '@' || d.form
        from ({coded}) c join suppression_domains d using (domain) where d.form != d.domain"""
    )
