"""Loads what planning needs of an audience's ledger: `a version of the ledger -> tables`."""

from __future__ import annotations

from airflow_provider_segexport.storage import per_export
from airflow_provider_segexport.storage.duckdb_engine import Engine
from airflow_provider_segexport.storage.ledger import LEFT, MAYBE_MEMBER, MEMBER, REMOVED, REMOVING, Ledger


def load(engine: Engine, ledger: Ledger, version: int, slot: int | None = None) -> None:
    """The ledger, as far as planning needs it.

    `ledger(email, row_hash, sure)` and `ledger_in(email, contact_id, sharers_mask, borrowed, existed)`: who is in,
    `sure` where a response said so; `row_hash` of what this export delivered last, or, before its first delivery, of
    what another did, which `borrowed` repeats;
    `removed(email)`: whom we took out; `gone_before(email)`: who has left on their own;
    `refusals(email, rejected_hash, attempts, first_rejected_at)`: rows of this export that were rejected;
    `bars(email, barred)`: people whom an export has barred.

    Args:
        engine: gets the tables.
        ledger: of the audience.
        version: which one.
        slot: this export's place among the sharers; None where it is the only one that has ever used the audience.
    """
    ledger.check(version)
    own = "row_hash" if slot is None else per_export.own_hash(slot)
    file = engine.scan([ledger.file(version)])
    engine.run(f"create or replace table gone_before as select email from {file} where state = '{LEFT}'")
    engine.run(
        f"""create or replace table ledger as
        select email, coalesce({own}, row_hash) as row_hash, added_at is not null and state = '{MEMBER}' as sure
        from {file} where state in {MAYBE_MEMBER}"""
    )
    engine.run(
        f"""create or replace view ledger_in as
        select email, contact_id, coalesce(sharers_mask, 0)::ubigint as sharers_mask,
            if({own} is null, row_hash, null) as borrowed, coalesce(existed, false) as existed
        from {file} where state in {MAYBE_MEMBER}"""
    )
    engine.run(
        f"create or replace table removed as select email from {file} where state in ('{REMOVED}', '{REMOVING}')"
    )
    last = [name if slot is None else f"{per_export.own(name, slot)} as {name}" for name in per_export.LAST]
    engine.run(
        f"""create or replace table refusals as
        select * from (select email, {", ".join(last)} from {file}) where rejected_hash is not null"""
    )
    engine.run(f"create or replace table bars as select email, barred from {file} where barred <> 0")


def load_nothing(engine: Engine) -> None:
    """What planning reads of a ledger that has no version yet: `ledger_in` and `bars`, without a row."""
    nobody = (
        "null::varchar as email, null::varchar as contact_id, 0::ubigint as sharers_mask, null::ubigint as borrowed"
    )
    engine.run(f"create or replace view ledger_in as select {nobody}, false as existed where false")
    engine.run("create or replace table bars (email varchar, barred ubigint)")
