"""Reads suppression lists and finds which people of a segment are in them: `files, addressed -> suppressed, tallies`.

An entry is an address, read as the segment's addresses are, or a hash of one. Each entry ends as blank, understood or
not understood, and is counted as such: a list that is not understood protects nobody, so it must not pass unnoticed.

After `read` the engine holds `suppression(list, file, row, kind, mark)`, a row for each entry that is understood. After
`match` it holds `suppressed(email)`; after `match_members`, `suppressed_members(email)`.
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
from airflow_provider_segexport.segment_files.suppression_files import Columns, entries
from airflow_provider_segexport.storage.arrow import string_array
from airflow_provider_segexport.storage.duckdb_engine import Engine, literal
from airflow_provider_segexport.storage.email_column import judge_column
from airflow_provider_segexport.storage.paths import StoragePath

FIRST = 5
"""How many rows that are not understood are kept for the error."""

DIGITS = {"md5": 32, "sha1": 40, "sha256": 64}
"""Hexadecimal digits of each kind of hash. Its name is that of the engine's function."""

_LENGTHS = ", ".join(map(str, DIGITS.values()))

BYTES = {kind: digits // 2 for kind, digits in DIGITS.items()}
PREFIX = {"md5": "md5", "sha1": "sha-?1", "sha256": "sha-?256"}
BASE64 = {
    "md5": "[0-9A-Za-z+/_-]{21}[AQgw](==)?",
    "sha1": "[0-9A-Za-z+/_-]{26}[AEIMQUYcgkosw048]=?",
    "sha256": "[0-9A-Za-z+/_-]{42}[AEIMQUYcgkosw048]=?",
}
"""Base64 of that many bytes, also in the alphabet for URLs: the bits of the last character that mean nothing are 0."""

PRINTABLE = "[!-~]+"
PATTERN = r"[%*?._+-]+@.*|.*\*.*@.*"
"""An entry such as `*@example.com`: valid as an address, and meant as a pattern, which lists do not have."""

ADDRESS = r"[^@\x00-\x20]+@[^@\x00-\x20]+\.[^@\x00-\x20.]{2,}\s*"
"""What tells a text of 16, 20 or 32 bytes from a digest in a column of bytes."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a list's entries came to. Every entry read is blank, understood or not understood.

    Attributes:
        matched: entries that are a person of the segment.
        examples: file and row, from 0, of the first entries that are not understood.
    """

    name: str
    read: int = 0
    blank: int = 0
    understood: int = 0
    not_understood: int = 0
    matched: int = 0
    examples: tuple[tuple[str, int], ...] = ()

    def figures(self) -> dict[str, Any]:
        """Return the counts for a report."""
        return {name: value for name, value in asdict(self).items() if name != "examples"}

    @property
    def unclear(self) -> tuple[int, int]:
        """Entries that are not understood, and of how many that are not blank. All are if every entry is blank."""
        if self.read and self.blank == self.read:
            return self.read, self.read
        return self.not_understood, self.understood + self.not_understood

    def words(self) -> str:
        """Return what is not understood in words, without any value."""
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
    """Read all lists.

    Args:
        engine: where `suppression` is made.
        lists: the name of each list, and its files with their names.

    Returns:
        A tally for each list, without the matches.

    Raises:
        InvalidSegment: a file cannot be read, or no column of it can be meant.
    """
    engine.run(
        """create or replace table suppression (list integer, file integer, row bigint, kind varchar, mark varchar)"""
    )
    tallies = []
    for number, (name, files) in enumerate(lists):
        tally = Tally(name)
        for at, (place, file) in enumerate(files):
            for columns, table in entries(place, file):
                _classify(engine, columns, table)
                engine.run(
                    f"""insert into suppression select {number}, {at}, row, kind, mark from suppression_batch
                    where kind not in ('blank', 'unsendable')"""
                )
                tally = _counted(engine, tally, file)
        tallies.append(tally)
    return tallies


def _classify(engine: Engine, columns: Columns, table: pa.Table) -> None:
    """`suppression_batch(row, kind, mark)`: the cells of a batch; `kind` is null where one is not understood."""
    engine.table("suppression_raw", table)
    cells = ", ".join(_text(f"cell_{at}", binary=binary) for at, binary in enumerate(columns.binary))
    whitespace = literal(email_address.WHITESPACE)
    trimmed = f"case when regexp_full_match(cell, '{PRINTABLE}') then cell else trim(cell, {whitespace})"
    engine.run(
        f"""create or replace table suppression_cells as select row, cell, {_kind("cell")} as kind
        from (select row, {trimmed} end as cell from (select row, unnest([{cells}]) as cell from suppression_raw))"""
    )
    judge_column(engine, "(select rowid as row, cell as email from suppression_cells where kind = 'email')", "listed_")
    engine.run(
        f"""create or replace table suppression_batch as
        select row, kind, {_digits("cell")} as mark from suppression_cells where kind is distinct from 'email'
        union all select c.row, case when j.email is not null then 'email'
            when j.reason = '{Reason.NON_ASCII_EMAIL}' then 'unsendable' end, j.email
        from suppression_cells c join listed_judged j on j.row = c.rowid"""
    )


def _text(cell: str, *, binary: bool) -> str:
    """SQL of a cell as text; a digest in a column of bytes becomes hexadecimal digits, bytes that are no text `?`."""
    text = f"coalesce(try(decode({cell})), '?')"
    if binary:
        lengths = ", ".join(map(str, BYTES.values()))
        written = rf"regexp_full_match({text}, '{ADDRESS}|[0-9a-fA-F]{{32}}')"
        text = f"case when octet_length({cell}) in ({lengths}) and not {written} then hex({cell}) else {text} end"
    return f"case when {cell} is not null then {text} end"


def _kind(cell: str) -> str:
    """SQL of what a trimmed cell is: by its length, and by a prefix that must agree with it."""
    bare = " ".join(f"when {digits} then '{kind}'" for kind, digits in DIGITS.items())
    hashes = " ".join(f"when regexp_full_match({cell}, '{_hash(kind)}') then '{kind}'" for kind in DIGITS)
    return f"""case when {cell} is null or {cell} = '' then 'blank'
        when contains({cell}, '@') or {cell} ilike 'mailto:%' then
            case when not regexp_full_match({cell}, '{PATTERN}') then 'email' end
        when strlen({cell}) in ({_LENGTHS}) and regexp_full_match({cell}, '[0-9a-fA-F]+') then
            case strlen({cell}) {bare} end
        {hashes} end"""


def _hash(kind: str) -> str:
    """The pattern of a hash as text: hexadecimal, or Base64."""
    named = rf"(?i:{PREFIX[kind]}[:=-]\s?)?"
    return rf"{named}((0[xX]|\\x)?[0-9a-fA-F]{{{DIGITS[kind]}}}|{BASE64[kind]})"


def _digits(cell: str) -> str:
    """SQL of the hexadecimal digits of a hash."""
    choices = []
    for kind, digits in DIGITS.items():
        coded = f"rtrim(regexp_extract({cell}, '{BASE64[kind]}$'), '=')"
        padded = f"rpad(translate({coded}, '-_', '+/'), {-(-BYTES[kind] // 3) * 4}, '=')"
        decoded = f"lower(hex(from_base64({padded})))"
        tail = f"lower(regexp_extract({cell}, '[0-9a-fA-F]{{{digits}}}$'))"
        choices.append(
            f"""when kind = '{kind}' then case when strlen({cell}) = {digits} then lower({cell})
                when {tail} != '' then {tail} else {decoded} end"""
        )
    return f"case {' '.join(choices)} end"


def _counted(engine: Engine, tally: Tally, file: str) -> Tally:
    """The tally with a batch added. An entry of several cells is understood if each that is not blank is."""
    engine.run(
        """create or replace table suppression_rows as
        select row, bool_and(kind is not null and kind = 'blank') as blank, bool_or(kind is null) as lost
        from suppression_batch group by row"""
    )
    rows, blank, lost = engine.one("select count(*), count_if(blank), count_if(lost) from suppression_rows")
    examples = tally.examples
    if lost and len(examples) < FIRST:
        worst = engine.rows(f"select row from suppression_rows where lost order by row limit {FIRST - len(examples)}")
        examples += tuple((file, int(row)) for (row,) in worst)
    return replace(
        tally,
        read=tally.read + rows,
        blank=tally.blank + blank,
        understood=tally.understood + rows - blank - lost,
        not_understood=tally.not_understood + lost,
        examples=examples,
    )


def match(engine: Engine, tallies: Sequence[Tally]) -> list[Tally]:
    """Find the people of `addressed` who are in a list; returns the tallies with their matches."""
    _find(engine, "addressed", "suppression_hits")
    engine.run("create or replace table suppressed as select distinct email from suppression_hits")
    counts = dict(
        engine.rows(
            """select list, count(*) from (select distinct list, file, row from suppression s
                semi join suppression_hits h on h.kind = s.kind and h.mark = s.mark) group by list"""
        )
    )
    return [replace(tally, matched=counts.get(number, 0)) for number, tally in enumerate(tallies)]


def match_members(engine: Engine) -> None:
    """`suppressed_members(email)`: people of `ledger_in` who are in a list, whether or not the segment has them."""
    _find(engine, "ledger_in", "suppression_members")
    engine.run("create or replace table suppressed_members as select distinct email from suppression_members")


def _find(engine: Engine, people: str, hits: str) -> None:
    """Make the table `hits(email, kind, mark)` of everyone in `people(email)` who is in a list."""
    engine.run(f"create or replace table {hits} (email varchar, kind varchar, mark varchar)")
    kinds = [kind for (kind,) in engine.rows("select distinct kind from suppression")]
    if set(kinds) - {"email"}:
        _spell(engine, people)
    for kind in kinds:
        hashed = f"(select email, {kind}(form) as mark from suppression_forms)"
        plain = f"(select email, email as mark from {people})"
        engine.run(
            f"""insert into {hits} select distinct email, '{kind}', mark from {plain if kind == "email" else hashed} p
            semi join (select mark from suppression where kind = '{kind}') s on s.mark = p.mark"""
        )


def _spell(engine: Engine, people: str) -> None:
    """`suppression_forms(email, form)`: each address as it may have been hashed, with either form of its domain."""
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
