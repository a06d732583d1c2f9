"""Columns, states and metadata of a ledger's rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.storage.arrow import raw_bytes

TIME = pa.timestamp("us", tz="UTC")
REJECTION = pa.struct(
    [
        ("rejected_hash", pa.uint64()),
        ("attempts", pa.uint8()),
        ("first_rejected_at", TIME),
        ("last_rejected_at", TIME),
    ],
)
SCHEMA = pa.schema(
    [
        ("email", pa.string()),
        ("row_hash", pa.uint64()),
        ("contact_id", pa.string()),
        ("as_of", TIME),
        ("run", pa.string()),
        ("state", pa.string()),
        ("added_at", TIME),
        ("rejected_hash", pa.uint64()),
        ("reason", pa.string()),
        ("attempts", pa.uint8()),
        ("first_rejected_at", TIME),
        ("last_rejected_at", TIME),
        ("sharers_mask", pa.uint64()),
        ("sent_by", pa.uint8()),
        ("hashes", pa.map_(pa.uint8(), pa.uint64())),
        ("rejected_by", pa.uint8()),
        ("rejections", pa.map_(pa.uint8(), REJECTION)),
        ("barred", pa.uint64()),
        ("existed", pa.bool_()),
    ]
)
"""One row per address.

- `state`:
  - `member`: an export has added the person to the audience.
  - `removed`: an export has removed the person.
  - `removing`: a run sent a removal or a new addition and got no response, or has not seen the removal in time. The
    person may be in the audience; if not, the export removed them.
  - `left`: the person is not in the audience, and no export removed them. An import must not bring them back.
  - `not_added`: nothing was ever delivered. The row holds a rejection, a bar, or that the person `existed`.
- `row_hash`: of the content that was delivered last; null if it is unknown.
- `as_of`, `run`: of the last delivery or removal.
- `added_at`: when a response first said that the person is a member; null if none has.
- `rejected_hash`, `reason`: of the content that was rejected last; `reason` is also an opt-out that a verification has
  found. The content was rejected `attempts` times, first at `first_rejected_at` and last at `last_rejected_at`.
- `sharers_mask`: the exports with a claim on the person, one bit each in the order of `AudienceState.sharers`.
- `sent_by`: position among the sharers of the export that delivered `row_hash`. `hashes`: by position, what the other
  exports delivered last.
- `rejected_by`: position of the export whose row was rejected last. `rejections`: the other exports' last rejections.
- `barred`: the exports that have withheld the person for missing consent or as suppressed, one bit each; null or 0 if
  there is none.
- `existed`: the person was a member before an export first added them. A run that read the audience has noted it.
"""

MEMBER, REMOVED, REMOVING, LEFT, NOT_ADDED = "member", "removed", "removing", "left", "not_added"
MAYBE_MEMBER = f"('{MEMBER}', '{REMOVING}')"
"""States of people that may be in the audience, as a list in SQL."""
ATTEMPTS_DAYS = 14
"""Days after the first rejection of a row from which its attempts are counted from 1 again."""


def counts_attempts(first_rejected_at: str, now: str) -> str:
    """Return SQL of whether attempts since a first rejection count. A time after tomorrow is that of a wrong clock."""
    return f"{first_rejected_at} between {now} - interval {ATTEMPTS_DAYS} days and {now} + interval 1 day"


MARK = "(md5_number(concat_ws('|', state, row_hash::varchar, as_of::varchar, run)) >> 64)::ubigint"
"""SQL of a hash of a ledger's row, which changes when a run changes the row."""


class MemberCount:
    """Yields the rows of a version, and counts the members among them.

    It counts the names of states in the concatenated texts of the column `state`. The result is exact, because no name
    of a state occurs within another name or across two names. `value_counts` would import `pyarrow.compute`
    (`storage.arrow`).
    """

    def __init__(self, rows: Iterable[pa.RecordBatch]) -> None:
        self._rows = rows
        self.members = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._rows:
            if batch.num_rows:
                states = bytes(raw_bytes(batch.column("state")))
                self.members += states.count(MEMBER.encode()) + states.count(REMOVING.encode())
            yield batch


def metadata_of(file: pq.ParquetFile) -> dict[bytes, bytes]:
    """Return the metadata of a version's file: that of its schema, and the entries added after the last row."""
    added = {name: value for name, value in (file.metadata.metadata or {}).items() if name != b"ARROW:schema"}
    return {**(file.schema_arrow.metadata or {}), **added}
