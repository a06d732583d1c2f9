"""Decides and freezes what this run will do: `clean rows -> upserts.arrow, aside.parquet, plan.json`.

One record batch of `upserts.arrow` is one batch at the vendor, so that a resumed run reads just those that it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_segexport.contract import Limits
from airflow_provider_segexport.model import Outcome, Reason, name_of
from airflow_provider_segexport.ports.engine import Engine
from airflow_provider_segexport.ports.places import Place
from airflow_provider_segexport.ports.tables import ArrowFile, write_parquet
from airflow_provider_segexport.segment import Cleaned, Planned

ENVELOPE_BYTES = 1_000
"""Room for what stands around the items in a body."""

SCHEMA = pa.schema([("row", pa.int64()), ("email", pa.string()), ("hash", pa.uint64()), ("item", pa.string())])


def upserts(item: str, *, against_ledger: bool) -> str:
    """SQL of what is to be sent. The hash is md5's, of the very text that is sent: stable over versions, machines."""
    # The half that `md5_number_lower` tells, in half its time.
    rows = f"""select row, email, (md5_number(item) >> 64)::ubigint as hash, item
        from (select row, email, {item} as item from clean)"""
    if not against_ledger:
        return rows
    return f"select u.* from ({rows}) u left join ledger l on l.email = u.email where l.hash is distinct from u.hash"


def freeze(engine: Engine, sql: str, limits: Limits, place: Place, cleaned: Cleaned) -> Planned:
    """Write the plan's rows. They count once `plan.json`, which the caller writes last, is there."""
    names: list[str] = []
    sent = size = 0
    too_large: list[int] = []
    with ArrowFile(place / "upserts.arrow", SCHEMA) as out:
        for batch in cut(engine.stream(sql), limits, too_large):
            names.append(name_of(batch.column("hash").to_numpy().astype("<u8", copy=False).tobytes()))
            sent += batch.num_rows
            size += batch.column("item").nbytes
            out.write(batch)
    if too_large:
        engine.table("too_large", pa.table({"row": pa.array(too_large, pa.int64())}))
        engine.run("insert into aside select row, ?, ?, '' from too_large", [Outcome.REJECTED, Reason.ROW_TOO_LARGE])
    write_parquet(place / "aside.parquet", engine.stream(ASIDE_ROWS), ASIDE)
    aside: dict[str, dict[str, int]] = {}
    for outcome, reason, count in engine.rows("select outcome, reason, count(*) from aside group by all order by all"):
        aside.setdefault(outcome, {})[reason] = count
    set_aside = sum(sum(reasons.values()) for reasons in aside.values())
    return Planned(
        profiles=cleaned.profiles,
        upserts=sent,
        unchanged=cleaned.profiles - set_aside - sent,
        batches=tuple(names),
        bytes=size,
        aside=aside,
        warnings=cleaned.warnings,
    )


ASIDE = pa.schema(
    [
        ("row", pa.int64()),
        ("email", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("field", pa.string()),
    ]
)


ASIDE_ROWS = "select a.row, k.email, a.outcome, a.reason, a.field from keys k join aside a using (row) order by a.row"


def cut(stream: Iterable[pa.RecordBatch], limits: Limits, too_large: list[int]) -> Iterator[pa.RecordBatch]:
    """Re-cut a stream into the vendor's batches: as full as rows and bytes allow, in order.

    Rows that no batch can hold are put into `too_large`.
    """
    room = limits.batch_bytes - ENVELOPE_BYTES
    carry: list[pa.RecordBatch] = []
    rows = size = 0
    for arrived in stream:
        lengths = pc.add(pc.binary_length(arrived.column("item")), 1).to_numpy(zero_copy_only=False).astype(np.int64)
        if (lengths > room).any():
            too_large.extend(arrived.column("row").filter(pa.array(lengths > room)).to_pylist())
            arrived = arrived.filter(pa.array(lengths <= room))  # noqa: PLW2901 - the rest of the same batch
            lengths = lengths[lengths <= room]
        ends = np.cumsum(lengths)
        start = 0
        while start < arrived.num_rows:
            before = int(ends[start - 1]) if start else 0
            fits = int(np.searchsorted(ends, before + room - size, side="right"))
            stop = min(fits, start + limits.batch_rows - rows)
            if stop > start:
                carry.append(arrived.slice(start, stop - start))
                rows += stop - start
                size += int(ends[stop - 1]) - before
            if stop < arrived.num_rows or rows == limits.batch_rows:
                yield _joined(carry)
                carry, rows, size = [], 0, 0
            start = stop
    if carry:
        yield _joined(carry)


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(parts) == 1:
        return parts[0]
    return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
