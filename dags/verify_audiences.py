"""Verifies audiences every week, with a mapped task for each, and fails if a match rate is too low.

The Airflow Variable ``segexport_verified`` lists the audiences as JSON: ``[{"conn_id": "<connection>", "audience":
"<the vendor's id of the list, address book or tag>"}]``. An entry may have other arguments of the operator, such as
``"sample": 400``. Without the Variable, the default audiences of the example connections are verified.

The task ``check`` fails if a match rate is below the limit, so that the alerts of your deployment name it. It does not
run if a verification fails, so the DAG run fails too. Clear the failed task to repeat both.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Param, Variable, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_segexport.operators.segment_export_verify import SegmentExportVerifyOperator

CONNECTIONS = ["campaign_monitor_default", "constant_contact_default", "dotdigital_default", "omnisend_default"]
ARGUMENTS = frozenset({"conn_id", "audience", "segment", "field_mapping", "custom_fields", "sample", "sample_values"})
"""Arguments that an entry of the Variable may have."""


@task
def choose() -> list[dict[str, Any]]:
    """Return the arguments of each verification."""
    repair = bool(get_current_context()["params"]["repair"])
    entries = Variable.get(
        "segexport_verified", default=[{"conn_id": conn_id} for conn_id in CONNECTIONS], deserialize_json=True
    )
    unknown = sorted({name for entry in entries for name in entry} - ARGUMENTS)
    if unknown:
        raise AirflowFailException(
            f"The Variable `segexport_verified` has arguments that this DAG does not pass on: {', '.join(unknown)}. To "
            f"fix: use only {', '.join(sorted(ARGUMENTS))}."
        )
    return [{**entry, "repair": repair} for entry in entries]


# A verification is skipped if exports are disabled. With `all_done`, a failed verification would not fail the DAG run.
@task(trigger_rule="none_failed")
def check(reports: Any) -> dict[str, float]:
    """Return the match rate by audience; fail if one is below the limit."""
    context = get_current_context()
    limit = float(context["params"]["min_match_rate"])
    rates: dict[str, float] = {}
    for report in filter(None, reports):
        name, rate = f"{report['audience_name']} at {report['vendor']}", report.get("match_rate")
        if rate is not None:  # audiences of two accounts may have one name, so the lowest rate counts
            rates[name] = min(rate, rates.get(name, rate))
    low = [f"{name}: {100 * rate:.8g}%" for name, rate in rates.items() if rate < limit]
    if low:
        raise AirflowFailException(
            f"The match rate is below {100 * limit:.8g}% in {', '.join(low)}. To fix: look at `drift.parquet` in the "
            "run folder, find out who changes the audience, and trigger this DAG with `repair`."
        )
    return rates


@dag(
    dag_id="verify_audiences",
    dag_display_name="Verify audiences",
    schedule="30 5 * * 1",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["segexport", "example"],
    params={
        "min_match_rate": Param(
            0.98,
            type="number",
            minimum=0,
            maximum=1,
            title="Lowest match rate",
            description="The DAG fails if an audience has a lower one.",
        ),
        "repair": Param(
            default=False,
            type="boolean",
            title="Repair",
            description="The next export sends missing people again who have not opted out.",
        ),
    },
)
def verify_audiences() -> None:
    """Verify each audience in a mapped task, then check the match rates."""
    verified = SegmentExportVerifyOperator.partial(
        task_id="verify",
        map_index_template="{{ task.conn_id }} {{ task.audience or '' }}",
        retries=3,
        retry_delay=timedelta(minutes=5),
        retry_exponential_backoff=True,
    ).expand_kwargs(choose())
    check(verified.output)


verify_audiences()
