"""Helpers of the core tests: Parquet files, a small vendor without HTTP, and the steps from files to a plan."""

from __future__ import annotations

import atexit
import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.model import Audience, Batch, batch_id
from airflow_provider_segexport.segment_files.parquet_files import find_files
from airflow_provider_segexport.stages import clean, map_fields, read
from airflow_provider_segexport.storage.duckdb_engine import Engine, engine
from airflow_provider_segexport.storage.paths import local_path
from airflow_provider_segexport.storage.plan import CleanResult, FieldMapping, ResolvedMapping, SegmentFiles
from airflow_provider_segexport.vendor_field import VendorField
from airflow_provider_segexport.vendors.base import FieldRule, Limits, MappedFields, Vendor
from airflow_provider_segexport.vendors.item_template import Column, Joined, JsonTemplate
from airflow_provider_segexport.vendors.registry import VENDORS
from airflow_provider_segexport.vendors.responses import retry_hint_from_status


def nothing(*_: object) -> Iterator[object]:
    """An operation that core tests do not run."""
    raise NotImplementedError
    yield


def item(matched: MappedFields, target: Audience) -> JsonTemplate:
    members = {"email": Column("email")}
    names = tuple(name for name in ("first_name", "last_name") if name in matched.fields)
    if names:
        members["name"] = Joined(names)
    members |= {name: Column(name) for name in ("gender", "phone", "birthdate") if name in matched.fields}
    for mapped in matched.custom:
        field = target.fields[mapped.name.lower()]
        form = field.type if field.type in {"number", "boolean"} else "text"
        members[field.key] = Column(mapped.column, form)
    return JsonTemplate(members)


PLAIN = replace(
    next(iter(VENDORS.values())),  # values that core tests do not use
    name="plain",
    title="Plainmail",
    audience_noun="list",
    base_url="https://plain.test",
    limits=Limits(batch_rows=3, batch_bytes=10_000, max_concurrency=2, max_jobs=0, timeout_s=5),
    fields=(
        FieldRule("email", "email"),
        FieldRule("first_name", "name", joined=True, max_chars=20),
        FieldRule("last_name", "name", joined=True, max_chars=20),
        FieldRule("full_name", "name"),
        FieldRule("gender", "gender", max_chars=10),
        FieldRule("phone", "phone", max_chars=15, drop_invalid=True),
        FieldRule("birthdate", "birthdate", drop_invalid=True),
        FieldRule("postcode", "postcode", custom=True),
    ),
    max_custom_chars=30,
    custom_name_pattern=r"[A-Za-z ]{1,20}",
    custom_name_hint="1 to 20 letters",
    resolve_audience=nothing,
    create_field=nothing,
    item_template=item,
    upsert=nothing,
    poll=nothing,
    collect=nothing,
    audience_link=lambda target: f"https://plain.test/{target.audience}",
    retry_hint=lambda response, now: retry_hint_from_status(response, None, now),
    date_format="%Y-%m-%d",
)

TARGET = Audience(
    base_url="https://plain.test",
    account="7",
    account_name="Shop",
    audience="42",
    audience_name="Customers",
    fields={
        "note": VendorField("note"),
        "points": VendorField("points", "number"),
        "vip": VendorField("vip", "boolean"),
        "since": VendorField("since", "date"),
        "postcode": VendorField("postcode"),
        "post code": VendorField("postcode"),
    },
)


OPENED = ExitStack()
"""Held here as well: the fork in which Airflow runs a task drops what is registered for the exit, and an engine that is
closed in a fork waits for threads that only the parent has."""
atexit.register(OPENED.close)


@functools.cache
def shared() -> Engine:
    """Return one engine for all tests, because starting one takes longer than most tests. Stages replace its tables."""
    return OPENED.enter_context(engine())


def limited(**limits: object) -> Vendor:
    return replace(PLAIN, limits=replace(PLAIN.limits, **limits))


def written(path: Path, columns: Mapping[str, object] | pa.Table, **options: object) -> Path:
    """Write a Parquet file of columns, and create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
    pq.write_table(table, path, **options)
    return path


def inspected(*paths: Path | str, wanted: Sequence[str] = ("email",)) -> SegmentFiles:
    return read.read_schemas(find_files([str(path) for path in paths], local_path), wanted)


def matching_of(
    files: SegmentFiles, mapping: FieldMapping, vendor: Vendor = PLAIN, target: Audience = TARGET
) -> ResolvedMapping:
    return map_fields.resolve(vendor, mapping, map_fields.resolve_types(vendor, mapping, files), files, target)


@contextmanager
def cleaned(
    *paths: Path, fields: Mapping[str, str] | None = None, **custom: str
) -> Iterator[tuple[Engine, CleanResult]]:
    """An engine that holds `clean_rows` and `not_sent` of files, and the result of cleaning."""
    mapping = FieldMapping({"email": "email", **(fields or {})}, custom)
    files = inspected(*paths, wanted=map_fields.required_columns(PLAIN, mapping))
    yield shared(), clean.clean(shared(), files, matching_of(files, mapping))


def outcomes(sql: Engine) -> dict[int, tuple[str, str, str]]:
    """Outcome, reason and field of every row that was set aside."""
    return {row: (outcome, reason, field) for row, outcome, reason, field in sql.rows("select * from not_sent")}


def values(sql: Engine, column: str) -> list[object]:
    """One column of the clean rows, in order."""
    return [value for (value,) in sql.rows(f'select "{column}" from clean_rows')]


def batch_of(rows: int, start: int = 0, generation: int = 0) -> Batch:
    """Return a batch of generated people, numbered from `start`."""
    numbers = list(range(start, start + rows))
    items = [f'{{"email":"p{number}@example.com"}}' for number in numbers]
    emails = [f"p{number}@example.com" for number in numbers]
    return Batch(batch_id(items, generation), numbers, emails, items, generation)


def one_page(rows: int) -> dict[str, object]:
    """The options with which `pyarrow.parquet` writes so many rows as one page a column, as fastparquet does."""
    return {
        "use_dictionary": False,
        "row_group_size": rows,
        "data_page_size": 1 << 30,
        "write_batch_size": rows,
        "compression": "gzip",
        "compression_level": 1,
    }
