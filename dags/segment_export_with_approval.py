"""Exports one segment to one audience, and asks a person first when the plan is out of the ordinary.

A dry run plans and measures. Where nothing comes near a guard, the export follows at once. Else the plan waits for a
person, who sees its counts under "Required Actions"; approved, exactly that plan is carried out. It is refused when the
segment, or what is known of the audience, has changed meanwhile. Rejected, or after a day without an answer, nothing is
sent.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, get_current_context, task

from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from unification.assets import SEGMENTS

FIELD_MAPPING = {"email": "email", "first_name": "first_name", "last_name": "last_name"}

# What both tasks are told, so that the second makes the plan that the first has shown.
TOLD: dict[str, Any] = {
    "conn_id": "{{ params.connection }}",
    "audience": "{{ params.audience }}",
    "segment": "{{ ti.xcom_pull('choose')['path'] }}",
    "as_of": "{{ ti.xcom_pull('choose')['as_of'] }}",
    "mode": "{{ params.mode }}",
    "field_mapping": FIELD_MAPPING,
    "export_name": "segment_export_with_approval",
}
PLAN = "ti.xcom_pull('plan')"
BODY = f"""
{{{{ {PLAN}['title'] }}}}

| | |
|---|---:|
| profiles of the segment | {{{{ "{{:,}}".format({PLAN}['counts']['profiles']) }}}} |
| would be sent | {{{{ "{{:,}}".format({PLAN}['estimate']['upserts']) }}}} |
| would be taken out | {{{{ "{{:,}}".format({PLAN}['estimate']['removals']) }}}} |
| unchanged | {{{{ "{{:,}}".format({PLAN}['counts']['unchanged']) }}}} |
| rejected | {{{{ "{{:,}}".format({PLAN}['counts']['rejected']) }}}} |
| withheld | {{{{ "{{:,}}".format({PLAN}['counts']['withheld']) }}}} |
| calls | {{{{ "{{:,}}".format({PLAN}['estimate']['calls']) }}}} |

{{% for guard in {PLAN}['guards'] %}}
- {{{{ guard['message'] }}}}
{{% endfor %}}
"""


@task(multiple_outputs=False)
def choose() -> dict[str, str]:
    """Fix which files are exported: what is newest now may not be so when a person has answered."""
    from unification.choice import segment_paths  # noqa: PLC0415 - Airflow parses this file over and over

    segment = get_current_context()["params"]["segment"]
    return segment_paths([segment], {}, None)[segment]


@task.branch
def is_ordinary(plan: dict[str, Any]) -> str:
    """Go on at once, or ask: a guard that has tripped, or that comes near its limit."""
    from unification.choice import near  # noqa: PLC0415

    return "ask" if near(plan["guards"]) else "export"


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
            description="Its newest day goes out.",
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
                "mirror": "What is new or changed, and leavers are taken out",
            },
            title="Mode",
            section="How",
        ),
    },
)
def segment_export_with_approval() -> None:
    """Plan, perhaps ask, export that plan."""
    plan = SegmentExportOperator(task_id="plan", dry_run=True, retries=3, retry_delay=timedelta(seconds=30), **TOLD)
    ask = ApprovalOperator(
        task_id="ask",
        subject="Export {{ params.segment }}?",
        body=BODY,
        defaults="Reject",
        response_timeout=timedelta(days=1),
        # Answered by a script within a second, the task may fail (Airflow 3.3.2): then it asks again.
        retries=2,
        retry_delay=timedelta(seconds=30),
    )
    export = SegmentExportOperator(
        task_id="export",
        # The plan's own mark, and no other plan. Its guards have been measured; a person has seen what they say.
        expected_plan=f"{{{{ {PLAN}['plan_hash'] }}}}",
        guards=f"{{{{ dict.fromkeys({PLAN}['guards'] | map(attribute='name')) | tojson }}}}",
        retries=3,
        retry_delay=timedelta(seconds=30),
        trigger_rule="none_failed_min_one_success",
        **TOLD,
    )
    choose() >> plan
    is_ordinary(cast("Any", plan.output)) >> [ask, export]  # a task's result to come
    ask >> export


segment_export_with_approval()
