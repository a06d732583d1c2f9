"""Exports one segment to one audience, and asks for approval if the plan is unusual.

A dry run makes the plan and measures the guards. If no guard is near its limit, the export follows immediately.
Otherwise a user must approve the plan, whose counts "Required Actions" shows. After approval, exactly that plan is
executed. The export fails if the segment or the ledger has changed since the dry run. After a rejection, or a day
without an answer, nothing is sent.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, get_current_context, task

from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from unification.assets import SEGMENTS

FIELD_MAPPING = {"email": "email", "first_name": "first_name", "last_name": "last_name"}

# Arguments of both tasks. The second task makes the same plan as the first, because it has the same arguments.
SHARED_ARGUMENTS: dict[str, Any] = {
    "conn_id": "{{ params.connection }}",
    "audience": "{{ params.audience }}",
    "segment": "{{ ti.xcom_pull('choose')['path'] }}",
    "as_of": "{{ ti.xcom_pull('choose')['as_of'] }}",
    "mode": "{{ params.mode }}",
    "field_mapping": FIELD_MAPPING,
    "export_name": "segment_export_with_approval",
}
PLAN = "ti.xcom_pull('plan')"
# Templates have no `conf` on a worker of Airflow 3, so the URL is derived from that of the task's own log.
REPORT_URL = "{{ ti.log_url.partition('/tasks/')[0] }}/tasks/plan/plugin/segment_export"
# The guards that have tripped come first. Two guards on removals have the same sentence, which is shown once.
BODY = f"""
{{{{ {PLAN}['title'] }}}}

{{% for guard in {PLAN}['guards'] | sort(attribute='tripped', reverse=True) | unique(attribute='message') %}}
- {{{{ '**Over the limit** (`%s`):' % guard['name'] if guard['tripped'] }}}} {{{{ guard['message'] }}}}
{{% endfor %}}

| | |
|---|---:|
| connection | {{{{ params.connection }}}} |
| audience | {{{{ {PLAN}['audience_name'] }}}} |
| mode | {{{{ {PLAN}['mode'] }}}} |
| profiles of the segment | {{{{ "{{:,}}".format({PLAN}['counts']['profiles']) }}}} |
| would be sent | {{{{ "{{:,}}".format({PLAN}['estimate']['upserts']) }}}} |
| would be removed | {{{{ "{{:,}}".format({PLAN}['estimate']['removals']) }}}} |
| unchanged | {{{{ "{{:,}}".format({PLAN}['counts']['unchanged']) }}}} |
| rejected | {{{{ "{{:,}}".format({PLAN}['counts']['rejected']) }}}} |
| withheld | {{{{ "{{:,}}".format({PLAN}['counts']['withheld']) }}}} |
| calls | {{{{ "{{:,}}".format({PLAN}['estimate']['calls']) }}}} |
| minutes at the quota, at least | {{{{ {PLAN}['estimate']['estimated_minutes'] }}}} |

[Report of the dry run]({REPORT_URL})
"""


@task(multiple_outputs=False)
def choose() -> dict[str, str]:
    """Return path and `as_of` of the segment's newest day. A newer day may arrive before the approval."""
    from unification.pairing import segment_paths  # noqa: PLC0415 - Airflow parses this file over and over

    segment = get_current_context()["params"]["segment"]
    return segment_paths([segment], {}, None)[segment]


@task.branch
def is_ordinary(plan: dict[str, Any]) -> str:
    """Choose the next task: `ask` if a guard has tripped or is near its limit, else `export`."""
    from unification.pairing import needs_approval  # noqa: PLC0415

    return "ask" if needs_approval(plan["guards"]) else "export"


@dag(
    dag_id="segment_export_with_approval",
    dag_display_name="Segment export with approval",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    doc_md=__doc__,
    tags=["segexport", "example"],
    params={
        "segment": Param(
            SEGMENTS[0],
            type="string",
            enum=list(SEGMENTS),
            title="Segment",
            description="The newest day is exported.",
            section="What",
        ),
        "connection": Param(
            "dotdigital_default",
            type="string",
            title="Connection",
            description="The Airflow connection of the vendor's account.",
            section="Where to",
        ),
        "audience": Param(
            None,
            type=["null", "string"],
            title="Audience",
            description="The vendor's id of the list, address book or tag. Empty means the connection's default.",
            section="Where to",
        ),
        "mode": Param(
            "mirror",
            type="string",
            enum=["upsert", "full", "mirror"],
            values_display={
                "upsert": "Only what is new or changed",
                "full": "Every profile",
                "mirror": "What is new or changed; leavers are removed",
            },
            title="Mode",
            section="How",
        ),
    },
)
def segment_export_with_approval() -> None:
    """Plan, ask for approval if needed, export that plan."""
    plan = SegmentExportOperator(
        task_id="plan", dry_run=True, retries=3, retry_delay=timedelta(seconds=30), **SHARED_ARGUMENTS
    )
    ask = ApprovalOperator(
        task_id="ask",
        subject="Export {{ params.segment }}?",
        body=BODY,
        defaults="Reject",
        response_timeout=timedelta(days=1),
        # If a script approves within a second, the task may fail (Airflow 3.3.2). A retry asks again.
        retries=2,
        retry_delay=timedelta(seconds=30),
    )
    export = SegmentExportOperator(
        task_id="export",
        # Any plan but that of the dry run is refused. Guards are disabled, because the dry run has measured them.
        expected_plan=f"{{{{ {PLAN}['plan_hash'] }}}}",
        guards=f"{{{{ dict.fromkeys({PLAN}['guards'] | map(attribute='name')) | tojson }}}}",
        retries=3,
        retry_delay=timedelta(seconds=30),
        trigger_rule="none_failed_min_one_success",
        **SHARED_ARGUMENTS,
    )
    choose() >> plan
    is_ordinary(cast("Any", plan.output)) >> [ask, export]  # XComArg
    ask >> export


segment_export_with_approval()
