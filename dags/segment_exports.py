"""Exports the refreshed segments: one mapped task for each pair of chosen segment and chosen connection.

The DAG runs for each day whose segments have all been refreshed by ``unification_refresh``, and manually with a form.
The Airflow Variable ``segexport_audiences`` maps segments to audiences as JSON:
``{"<connection id>": {"<segment>": "<the vendor's id of the list or address book>"}}``. A pair that is not in it goes
to the connection's default audience.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import (
    Asset,
    AssetAll,
    IdentityMapper,
    Param,
    PartitionedAssetTimetable,
    Variable,
    dag,
    get_current_context,
    task,
)

from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from unification.assets import SEGMENT_ASSETS

CONNECTIONS = ["campaign_monitor_default", "constant_contact_default", "dotdigital_default", "omnisend_default"]

EXPORTED = Asset(name="segments_exported", uri="segexport://exported", group="segment")

# Column of the profiles by vendor-neutral field. Gender and postcode are custom fields at Campaign Monitor.
FIELD_MAPPING = {
    "email": "email",
    "first_name": "first_name",
    "last_name": "last_name",
    "gender": "gender",
    "postcode": "postcode",
}
CUSTOM_FIELDS = {"loyalty_tier": "loyalty_tier", "orders": "orders"}

# Omnisend sends promotions to subscribed contacts only, and an import alone subscribes no person. So the export of the
# newsletter's segment sends the proof of consent.
PROOF_OF_CONSENT = {
    "omnisend_default": {
        "newsletter_active": {
            "consent_column": "newsletter",
            "subscribe": "with_proof",
            "consented_at_column": "newsletter_consented_at",
        }
    }
}


@task
def choose() -> list[dict[str, Any]]:
    """Return the arguments of each export: each chosen segment with each chosen connection.

    The segments are those of the upstream asset events. In a manual run they are those of the chosen or newest day.
    """
    from unification.pairing import pairs, segment_paths  # noqa: PLC0415 - Airflow parses this file over and over

    context = get_current_context()
    params = context["params"]
    events = {
        asset.name: [dict(event.extra or {}) for event in asset_events]
        for asset, asset_events in (context.get("triggering_asset_events") or {}).items()
    }
    paths = segment_paths(params["segments"], events, context["dag_run"].partition_key or params["day"])
    audiences = Variable.get("segexport_audiences", default={}, deserialize_json=True)
    options = {"mode": params["mode"], "dry_run": params["dry_run"]}
    return pairs(paths, params["connections"], audiences, options, PROOF_OF_CONSENT)


@dag(
    dag_id="segment_exports",
    dag_display_name="Segment exports",
    schedule=PartitionedAssetTimetable(
        assets=AssetAll(*SEGMENT_ASSETS.values()), default_partition_mapper=IdentityMapper()
    ),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # One run at a time, because two runs would write the same audiences.
    max_active_runs=1,
    doc_md=__doc__,
    tags=["segexport", "example"],
    params={
        "segments": Param(
            list(SEGMENT_ASSETS),
            type="array",
            items={"type": "string", "enum": list(SEGMENT_ASSETS)},
            examples=list(SEGMENT_ASSETS),
            minItems=1,
            uniqueItems=True,
            title="Segments",
            description="The segments to export.",
            section="What",
        ),
        "day": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Day",
            description="Empty means the newest day of each segment.",
            section="What",
        ),
        "connections": Param(
            CONNECTIONS,
            type="array",
            items={"type": "string"},
            examples=CONNECTIONS,
            minItems=1,
            uniqueItems=True,
            title="Connections",
            description="The Airflow connections to export through; each is one vendor account.",
            section="Where to",
        ),
        "mode": Param(
            "upsert",
            type="string",
            enum=["upsert", "full", "mirror"],
            values_display={
                "upsert": "Only what is new or changed",
                "full": "Every profile",
                "mirror": "What is new or changed; leavers are removed",
            },
            title="Mode",
            description="The ledger records what earlier exports delivered. No person is unsubscribed: a leaver is "
            "removed from the audience, and only if an export has added them.",
            section="How",
        ),
        "dry_run": Param(
            default=False,
            type="boolean",
            title="Dry run",
            description="Plan only: count the upserts, removals and calls. Nothing is sent.",
            section="How",
        ),
    },
)
def segment_exports() -> None:
    """Choose the pairs, then export each in a mapped task."""
    SegmentExportOperator.partial(
        task_id="export",
        field_mapping=FIELD_MAPPING,
        custom_fields=CUSTOM_FIELDS,
        create_custom_fields=True,
        map_index_template="{{ task.conn_id }} {{ task.segment.split('/')[-2] }}",
        # Airflow 3.3 may fail a deferred task once if its trigger fires early. A retry resumes it.
        retries=3,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=True,
        outlets=[EXPORTED],
    ).expand_kwargs(choose())


segment_exports()
