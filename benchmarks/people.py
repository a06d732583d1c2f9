"""Generates segments: the same arguments and the same version of NumPy give the same rows on every machine.

Each part of 100,000 rows has its own seed, so a large file needs little memory. By default, the second snapshot differs
from the first in every hundredth row.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SEED = 20_261_124
PART = 100_000
CHANGED_EVERY = 100

FIRST = ["Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Ines", "Jonas", "Klara", "Noah", "Tilda"]
LAST = ["Smith", "Jones", "Müller", "García", "Rossi", "Dubois", "Nowak", "Jansen", "Kovács", "O'Neil", "Andersson"]
CITIES = ["London", "Paris", "Berlin", "Madrid", "Milano", "København", "Lisboa", "Wien", "Zürich", "Gdańsk", "Lyon"]
COUNTRIES = ["GB", "FR", "DE", "ES", "IT", "DK", "PT", "AT", "CH", "PL"]
DOMAINS = ["example.com", "mail.example.org", "example.net", "post.example.co.uk", "shop-example.de"]


def write(path: Path, rows: int, *, snapshot: int = 1, changed_every: int = CHANGED_EVERY) -> Path:
    """Write a segment as one Parquet file, unless the file exists."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".half")
    writer: pq.ParquetWriter | None = None
    for batch in _parts(rows, snapshot, changed_every):
        writer = writer or pq.ParquetWriter(unfinished, batch.schema)
        writer.write_table(pa.Table.from_batches([batch]))
    if writer is None:
        raise ValueError("A benchmark segment needs at least one row.")
    writer.close()
    unfinished.replace(path)
    return path


def write_phones(path: Path, segment: Path, kind: str) -> Path:
    """Write a segment with the column `phone`, unless the file exists.

    Args:
        path: of the new file.
        segment: the segment without phones.
        kind: `e164`, or numbers in German national form: `repeated` has a thousand of them, `distinct` one per row.
    """
    if path.exists():
        return path
    unfinished = path.with_suffix(".half")
    with pq.ParquetFile(segment) as file:
        schema = file.schema_arrow.append(pa.field("phone", pa.string()))
        with pq.ParquetWriter(unfinished, schema) as writer:
            start = 0
            for batch in file.iter_batches(PART):
                number = np.arange(start, start + batch.num_rows)
                start += batch.num_rows
                digits = pc.utf8_lpad(_text(number % 1000 if kind == "repeated" else number), 7, "0")
                prefix = "+49170" if kind == "e164" else "0170 "
                phones = pc.binary_join_element_wise(prefix, digits, "")
                columns = [*batch.columns, phones]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    unfinished.replace(path)
    return path


def _parts(rows: int, snapshot: int, changed_every: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, rows, PART):
        count = min(PART, rows - start)
        yield _part(start, count, np.random.default_rng((SEED, start)), snapshot, changed_every)


def _part(start: int, rows: int, draw: np.random.Generator, snapshot: int, changed_every: int) -> pa.RecordBatch:
    number = np.arange(start, start + rows)
    first, last = _choice(FIRST, draw, rows), _choice(LAST, draw, rows)
    orders = draw.integers(0, 60, rows)
    if snapshot > 1:
        orders = orders + np.where(number % changed_every == 7, snapshot - 1, 0)  # noqa: PLR2004 - any of them
    columns = {
        "profile_id": pc.binary_join_element_wise("p", pc.utf8_lpad(_text(number), 9, "0"), "-"),
        "email": _emails(number, draw),
        "first_name": _gaps(first, draw, 0.05),
        "last_name": _gaps(last, draw, 0.05),
        "gender": _gaps(_choice(["f", "m"], draw, rows), draw, 0.3),
        "postcode": pc.utf8_lpad(_text(draw.integers(1000, 99_999, rows)), 5, "0"),
        "city": _gaps(_choice(CITIES, draw, rows), draw, 0.1),
        "country": _choice(COUNTRIES, draw, rows),
        "birthdate": _gaps(pa.array(draw.integers(-10_000, 13_000, rows).astype("int32")).cast(pa.date32()), draw, 0.2),
        "loyalty_tier": _choice(["bronze", "silver", "gold"], draw, rows),
        "orders": pa.array(orders),
        "spent": pa.array(np.round(draw.gamma(2.0, 90.0, rows), 2)),
        "vip": pa.array(draw.random(rows) < 0.03),  # noqa: PLR2004 - three in a hundred
        "customer_since": pa.array(draw.integers(14_000, 20_000, rows).astype("int32")).cast(pa.date32()),
        "last_campaign": _gaps(_choice(["spring", "summer", "autumn", "winter"], draw, rows), draw, 0.4),
        "score": pa.array(draw.random(rows)),
    }
    return pa.RecordBatch.from_pydict(columns)


def _emails(number: np.ndarray, draw: np.random.Generator) -> pa.Array:
    """Return addresses, most of them plain.

    1 % repeat an earlier address, 0.5 % are invalid, 0.3 % are null, 0.2 % have an international domain, and 0.5 % have
    blanks around them. One in ten begins with a capital letter.
    """
    rows = len(number)
    kind = draw.random(rows)
    whose = np.where((kind < 0.01) & (number > 0), number // 2, number)  # noqa: PLR2004
    domains = pa.array(DOMAINS).take(pa.array(whose % len(DOMAINS)))
    names = pa.array([name.lower() for name in FIRST]).take(pa.array(whose % len(FIRST)))
    local = pc.binary_join_element_wise(names, _text(whose), ".")
    plain = pc.binary_join_element_wise(local, domains, "@")
    emails = pc.if_else(pa.array(number % 10 == 3), pc.utf8_capitalize(plain), plain)  # noqa: PLR2004
    blank = pc.binary_join_element_wise("", emails, " ", " ")
    bad = pc.binary_join_element_wise(local, domains, " at ")
    international = pc.binary_join_element_wise(local, "bücher.example.de", "@")
    emails = pc.if_else(pa.array((kind >= 0.01) & (kind < 0.015)), bad, emails)  # noqa: PLR2004
    emails = pc.if_else(pa.array((kind >= 0.015) & (kind < 0.018)), pa.scalar(None, pa.string()), emails)  # noqa: PLR2004
    emails = pc.if_else(pa.array((kind >= 0.018) & (kind < 0.02)), international, emails)  # noqa: PLR2004
    return pc.if_else(pa.array((kind >= 0.02) & (kind < 0.025)), blank, emails)  # noqa: PLR2004


def _text(numbers: np.ndarray) -> pa.Array:
    return pa.array(numbers).cast(pa.string())


def _choice(values: list[str], draw: np.random.Generator, rows: int) -> pa.Array:
    return pa.array(values).take(pa.array(draw.integers(0, len(values), rows)))


def _gaps(column: pa.Array, draw: np.random.Generator, share: float) -> pa.Array:
    """Return the column with some values missing."""
    return pc.if_else(pa.array(draw.random(len(column)) >= share), column, pa.scalar(None, column.type))
