"""Choose the people that a verification reads and compares: `ledger, segment -> known people`."""

from __future__ import annotations

import pyarrow as pa

from airflow_provider_segexport.storage.duckdb_engine import Engine, hashed, literal
from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.ledger_schema import MARK, MEMBER
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.plan import RowSql
from airflow_provider_segexport.storage.reading import KNOWN_PEOPLE, MEMBERS
from airflow_provider_segexport.storage.tables import CLEAN_ROWS

KNOWN_SCHEMA = pa.schema(
    [("email", pa.string()), ("state", pa.string()), ("mark", pa.uint64()), ("in_segment", pa.bool_())]
)
ITEMS_SCHEMA = pa.schema([("email", pa.string()), ("item", pa.string())])


def write_known(engine: Engine, path: StoragePath, ledger: StoragePath | None, *, segment: str = "") -> int:
    """Write the people of ledger and segment to a file; return their number.

    Args:
        engine: holds the segment.
        path: the file.
        ledger: file of the ledger's version; None if there is no version.
        segment: name of the table with the segment's addresses; empty without a segment.
    """
    rows = f"select email, state, {MARK} as mark from {engine.scan([ledger])}" if ledger is not None else NO_LEDGER
    people = f"select distinct email from {segment}" if segment else "select null::varchar as email where false"
    sql = f"""select coalesce(l.email, s.email) as email, l.state, l.mark, s.email is not null as in_segment
        from ({rows}) l full join ({people}) s on s.email = l.email"""
    return write_parquet(path, engine.stream(sql), KNOWN_SCHEMA)


NO_LEDGER = "select null::varchar as email, null::varchar as state, null::ubigint as mark where false"


def load_known(engine: Engine, path: StoragePath) -> None:
    """Create `KNOWN_PEOPLE` from its file."""
    engine.run(f"create or replace table {KNOWN_PEOPLE} as select * from {engine.scan([path])}")


def write_items(engine: Engine, path: StoragePath, encoded: RowSql, ledger: StoragePath) -> int:
    """Write the encoded rows whose content the ledger has as delivered to a file; return their number.

    Args:
        engine: holds `CLEAN_ROWS`.
        path: the file, which gets the columns `email` and `item`.
        encoded: SQL of a row's JSON and hash.
        ledger: file of the ledger's version.
    """
    sql = f"""select c.email, c.item from
            (select email, {encoded.hash} as row_hash, {encoded.item} as item from {CLEAN_ROWS}) c
        semi join (select email, row_hash from {engine.scan([ledger])} where state = '{MEMBER}') l
            on l.email = c.email and l.row_hash = c.row_hash"""
    return write_parquet(path, engine.stream(sql), ITEMS_SCHEMA)


def choose_records(engine: Engine, *, values: int, seed: str, most_absent: int) -> int:
    """Create `record_people(number, email)`, the people to read one by one after the audience; return their number.

    They are people whose values are compared, and the absent people. If more than `most_absent` people are absent, none
    of the absent people is read.

    Args:
        engine: holds `KNOWN_PEOPLE`, `read_members`, `found_optouts` and `items`.
        values: maximum people whose values are compared.
        seed: text that selects these people; the same text selects the same people.
        most_absent: maximum absent people.
    """
    absent = f"""select k.email from {KNOWN_PEOPLE} k anti join read_{MEMBERS} m on m.email = k.email
        anti join found_optouts o on o.email = k.email where k.state = '{MEMBER}'"""
    count = int(engine.single_row(f"select count(*) from ({absent})")[0])
    order = hashed(f"email || {literal(seed)}")
    people = f"(select email from items order by {order}, email limit {values})"
    people += f" union ({absent})" if count <= most_absent else ""
    return _number_people(engine, f"select email from ({people}) order by {order}, email")


def choose_sample(engine: Engine, *, size: int, seed: str) -> int:
    """Create `record_people(number, email)`, a random sample of the ledger's members; return their number.

    Args:
        engine: holds `KNOWN_PEOPLE`.
        size: maximum people.
        seed: text that selects the sample; the same text selects the same people.
    """
    order = hashed(f"email || {literal(seed)}")
    sql = f"select email from {KNOWN_PEOPLE} where state = '{MEMBER}' order by {order}, email limit {size}"
    return _number_people(engine, sql)


def _number_people(engine: Engine, people: str) -> int:
    engine.run(f"create or replace table record_people as select row_number() over () as number, email from ({people})")
    return int(engine.single_row("select count(*) from record_people")[0])


def next_records(engine: Engine, after: int, count: int) -> list[tuple[str, str | None]]:
    """Return the next people to read one by one: address, and encoded row to compare values with, or None.

    Args:
        engine: holds `record_people` and `items`.
        after: number of the last person that was read; 0 for none.
        count: maximum people.
    """
    sql = f"""select r.email, any_value(i.item) from record_people r left join items i on i.email = r.email
        where r.number > {after} and r.number <= {after + count} group by r.number, r.email order by r.number"""
    return [(email, item) for email, item in engine.rows(sql)]


def load_items(engine: Engine, path: StoragePath | None) -> None:
    """Create `items(email, item)` from its file; empty without one."""
    engine.table("items", pa.Table.from_batches([], ITEMS_SCHEMA))
    if path is not None:
        engine.run(f"insert into items select * from {engine.scan([path])}")
