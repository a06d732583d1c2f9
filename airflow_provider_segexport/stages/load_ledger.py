"""Load the parts of an audience's ledger that planning needs: `a version of the ledger -> tables`."""

from __future__ import annotations

from airflow_provider_segexport.storage import per_export
from airflow_provider_segexport.storage.duckdb_engine import Engine
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_schema import LEFT, MAYBE_MEMBER, MEMBER, REMOVED, REMOVING
from airflow_provider_segexport.storage.tables import (
    BARRED_EMAILS,
    LAST_REJECTIONS,
    LEDGER_HASHES,
    LEDGER_MEMBERS,
    LEFT_BEFORE,
    REMOVED_EMAILS,
)


def load(engine: Engine, ledger: Ledger, version: int, slot: int | None = None) -> None:
    """Create the ledger's tables of `storage.tables`.

    `row_hash` is the hash of the content that this export delivered last. Before its first delivery to a person, it is
    the hash that another export delivered, and `other_hash` repeats it. `confirmed` is true if a response of the vendor
    has named the person as a member.

    Args:
        engine: gets the tables.
        ledger: the audience's ledger.
        version: number of the version to load, from 1.
        slot: this export's position among the sharers, from 0; None if no other export has ever used the audience.

    Raises:
        DamagedState: the version's file has changed since it was written.
    """
    ledger.check(version)
    own = "row_hash" if slot is None else per_export.own_hash(slot)
    file = engine.scan([ledger.file(version)])
    engine.run(f"create or replace table {LEFT_BEFORE} as select email from {file} where state = '{LEFT}'")
    engine.run(
        f"""create or replace table {LEDGER_HASHES} as
        select email, coalesce({own}, row_hash) as row_hash,
            added_at is not null and state = '{MEMBER}' as confirmed
        from {file} where state in {MAYBE_MEMBER}"""
    )
    engine.run(
        f"""create or replace view {LEDGER_MEMBERS} as
        select email, coalesce(sharers_mask, 0)::ubigint as sharers_mask,
            if({own} is null, row_hash, null) as other_hash, coalesce(existed, false) as existed
        from {file} where state in {MAYBE_MEMBER}"""
    )
    engine.run(
        f"""create or replace table {REMOVED_EMAILS} as
        select email from {file} where state in ('{REMOVED}', '{REMOVING}')"""
    )
    last = [name if slot is None else f"{per_export.own(name, slot)} as {name}" for name in per_export.LAST]
    engine.run(
        f"""create or replace table {LAST_REJECTIONS} as
        select * from (select email, {", ".join(last)} from {file}) where rejected_hash is not null"""
    )
    engine.run(f"create or replace table {BARRED_EMAILS} as select email, barred from {file} where barred <> 0")


def load_nothing(engine: Engine) -> None:
    """Create `LEDGER_MEMBERS` and `BARRED_EMAILS` without a row, for a ledger that has no version yet."""
    engine.run(
        f"""create or replace view {LEDGER_MEMBERS} as
        select null::varchar as email, 0::ubigint as sharers_mask,
            null::ubigint as other_hash, false as existed where false"""
    )
    engine.run(f"create or replace table {BARRED_EMAILS} (email varchar, barred ubigint)")
