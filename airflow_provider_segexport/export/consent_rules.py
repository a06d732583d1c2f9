"""Applies an export's rules of consent while it plans: who is withheld, and whose consent is proven."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.export.preflight import Preflight
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.segment_files.footers import quote_name
from airflow_provider_segexport.stages import consent, proof, readback, suppression
from airflow_provider_segexport.storage.duckdb_engine import Engine
from airflow_provider_segexport.storage.plan import CleanResult
from airflow_provider_segexport.storage.tables import CLEAN_ROWS, PROVEN_ROWS
from airflow_provider_segexport.vendors.probe_answers import DIFFERENT, EMAIL_CASE_FACT

log = logging.getLogger(__name__)

MAX_COLUMNS_SHOWN = 10
"""Columns of a suppression list that a log line names at most."""


def withhold(
    context: ExportContext, checked: Preflight, sql: Engine
) -> tuple[Mapping[str, int], Sequence[suppression.Tally]]:
    """Withhold the rows without consent and those on a suppression list.

    Args:
        context: the export.
        checked: files and suppression lists.
        sql: holds the cleaned rows.

    Returns:
        Profiles by value of the consent column, and the counts of each suppression list.
    """
    consent_counts: Mapping[str, int] = {}
    lists: Sequence[suppression.Tally] = ()
    if context.config.consent.column:
        consent_counts = consent.withhold_without_consent(sql, checked.files, context.config.consent.column)
    if checked.suppression:
        lists = suppression.match(sql, suppression.read(sql, checked.suppression))
        consent.withhold_suppressed(sql)
        for tally in lists:
            log.info("Reading suppression list (%s)", ", ".join(f"{k}={v}" for k, v in tally.figures().items()))
            _warn(tally)
    return consent_counts, lists


def _warn(tally: suppression.Tally) -> None:
    """Log a warning about a list that may protect fewer people than it should."""
    if tally.unread_columns:
        shown = ", ".join(map(quote_name, tally.unread_columns[:MAX_COLUMNS_SHOWN]))
        log.warning("Leaving columns of a suppression list unread (name=%s columns=%s)", tally.name, shown)
    if tally.only_hashes and not tally.matched:
        log.warning(
            "Matching no person of the segment by a suppression list of hashes (name=%s hashes=%d)",
            tally.name,
            tally.understood,
        )


def withhold_opted_out(context: ExportContext, audience: Audience, sql: Engine) -> None:
    """Withhold people who have opted out, if a probe has found that addresses that differ in case are two people.

    In other accounts, the vendor recognises the person by the address that is sent, and keeps the opt-out.

    Args:
        context: the export.
        audience: the audience, with the facts about its account.
        sql: holds the cleaned rows.
    """
    vendor = context.vendor
    if audience.extra.get(EMAIL_CASE_FACT) == DIFFERENT and vendor.list_optouts is not None:
        context.run_operation(vendor.list_optouts(audience, 0.0, readback.OptOuts(sql)))
        count = readback.withhold_opted_out(sql)
        log.info("Withholding people who have opted out in any case of their address (rows=%d)", count)


def add_unclear_consent(cleaned: CleanResult, column: str, consent_counts: Mapping[str, int]) -> CleanResult:
    """Add a warning for consent values that are neither yes nor no.

    Args:
        cleaned: the counts so far.
        column: the consent column.
        consent_counts: profiles by value of that column.
    """
    unclear = consent_counts.get("unclear")
    if not unclear:
        return cleaned
    counts = {**cleaned.warnings.get(column, {}), "consent_neither_yes_nor_no": unclear}
    return replace(cleaned, warnings={**cleaned.warnings, column: counts})


def prove(context: ExportContext, checked: Preflight, sql: Engine, cleaned: CleanResult) -> tuple[str, CleanResult]:
    """Find out which rows have proof of consent, if the export sends it.

    If a proof subscribes a person at the vendor, the vendor's opt-outs are read first.

    Args:
        context: the export.
        checked: the field mapping and the audience.
        sql: holds the cleaned rows.
        cleaned: the counts so far.

    Returns:
        The relation of the rows to send, and the counts with values that a proof leaves out.
    """
    rule, mapped = context.vendor.consent_proof, checked.mapped.proof
    if rule is None or mapped is None:
        return CLEAN_ROWS, cleaned
    since = proof.judge(sql, rule, mapped, context.environment.clock())
    if rule.subscribes and since is not None and context.vendor.list_optouts is not None:
        context.run_operation(context.vendor.list_optouts(checked.audience, max(0.0, since), readback.OptOuts(sql)))
        proof.find_opted_out_later(sql, mapped)
    return PROVEN_ROWS, replace(cleaned, warnings={**cleaned.warnings, **proof.prove(sql, rule, mapped)})


def record_proofs(context: ExportContext, checked: Preflight, sql: Engine) -> Mapping[str, int]:
    """Write the rows whose proof does not count; return the rows that may be sent by `ProofState`.

    Args:
        context: the export.
        checked: the field mapping.
        sql: holds `PROVEN_ROWS` if the export sends proof, and all rows that are not sent.
    """
    if checked.mapped.proof is None:
        return {}
    proof.write_named(sql, context.environment.run_folder.path / "without_proof.parquet")
    counts = proof.count_states(sql)
    log.info("Checking proofs of consent (%s)", ", ".join(f"{state}={count}" for state, count in counts.items()))
    return counts
