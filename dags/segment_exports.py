"""Exports the refreshed segments: each chosen segment through each chosen connection, one mapped task a pair.

Runs by itself for each day whose segments are all refreshed by ``unification_refresh``, and by hand with a form.
Which audience a segment goes to stands in the Airflow Variable ``segexport_audiences``, as JSON:
``{"<connection id>": {"<segment>": "<the vendor's id of the list or address book>"}}``; a pair that is not in it
goes to the connection's default audience.
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

# Which column of a profile feeds which field. Gender and postcode are custom fields at Campaign Monitor.
FIELD_MAPPING = {
    "email": "email",
    "first_name": "first_name",
    "last_name": "last_name",
    "gender": "gender",
    "postcode": "postcode",
}
CUSTOM_FIELDS = {"loyalty_tier": "loyalty_tier", "orders": "orders"}


@task
def choose() -> list[dict[str, Any]]:
    """Pair segments with connections: the day's segments from the upstream events, or by hand the newest."""
    from unification.choice import pairs, segment_paths  # noqa: PLC0415 - Airflow parses this file over and over

    context = get_current_context()
    params = context["params"]
    events = {
        asset.name: [dict(event.extra or {}) for event in found]
        for asset, found in (context.get("triggering_asset_events") or {}).items()
    }
    paths = segment_paths(params["segments"], events, context["dag_run"].partition_key or params["day"])
    audiences = Variable.get("segexport_audiences", default={}, deserialize_json=True)
    how = {"mode": params["mode"], "dry_run": params["dry_run"]}
    return pairs(paths, params["connections"], audiences, how)


@dag(
    dag_id="segment_exports",
    dag_display_name="Segment exports",
    schedule=PartitionedAssetTimetable(
        assets=AssetAll(*SEGMENT_ASSETS.values()), default_partition_mapper=IdentityMapper()
    ),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # A day's exports end before the next day's begin: two runs would write the same audiences.
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
            description="Which segments go out.",
            section="What",
        ),
        "day": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Day",
            description="Empty means the newest that there is.",
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
            description="Through which Airflow connections; each stands for one vendor's account.",
            section="Where to",
        ),
        "mode": Param(
            "upsert",
            type="string",
            enum=["upsert", "full", "mirror"],
            values_display={
                "upsert": "Only what is new or changed",
                "full": "Every profile",
                "mirror": "What is new or changed, and leavers are taken out",
            },
            title="Mode",
            description="What the last exports have put there is known from the ledger. Nobody is unsubscribed: a "
            "leaver is taken out of the audience, and only if an export has put them there.",
            section="How",
        ),
        "dry_run": Param(
            default=False,
            type="boolean",
            title="Dry run",
            description="Plan only: how many would be sent and taken out, in how many calls. Nothing is sent.",
            section="How",
        ),
    },
)
def segment_exports() -> None:
    """One task chooses; one task a pair exports."""
    SegmentExportOperator.partial(
        task_id="export",
        field_mapping=FIELD_MAPPING,
        custom_fields=CUSTOM_FIELDS,
        create_custom_fields=True,
        map_index_template="{{ task.conn_id }} {{ task.segment.split('/')[-2] }}",
        # A deferred task may be failed once by Airflow 3.3 when its trigger fires early; a retry goes on.
        retries=3,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=True,
        outlets=[EXPORTED],
    ).expand_kwargs(choose())


segment_exports()
