"""Cluster policies and `default_args` set arguments of tasks; those of a mapped task hold too."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG, task
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.operators.segment_export_erase import SegmentExportEraseOperator
from airflow_provider_segexport.operators.segment_export_undo import SegmentExportUndoOperator
from airflow_provider_segexport.operators.segment_export_verify import SegmentExportVerifyOperator

pytestmark = pytest.mark.airflow

START = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = ("plain", "expand", "expand_kwargs", "decorated", "decorated_expand", "decorated_expand_kwargs")


def export_task(stage, kind, **arguments):
    """A DAG of one export of three people."""
    path = stage.segment(3)
    given = {"task_id": "export", "conn_id": stage.connection("campaign_monitor"), "field_mapping": FIELD_MAPPING}
    given |= arguments
    with DAG(f"policy_{kind}_{len(arguments)}", schedule=None, start_date=START) as dag:
        if kind.startswith("decorated"):

            def returns(audience):
                assert audience
                return path

            function = task.segment_export(**given)(returns)
            if kind == "decorated":
                function("x")
            elif kind == "decorated_expand":
                function.expand(audience=["x"])
            else:
                function.expand_kwargs([{"audience": "x"}])
        elif kind == "plain":
            SegmentExportOperator(**given, segment=path)
        elif kind == "expand":
            SegmentExportOperator.partial(**given, segment=path).expand(audience=[stage.audience("campaign_monitor")])
        else:
            SegmentExportOperator.partial(**given).expand_kwargs([{"segment": path}])
    return dag


def run_with(stage, dag, **policy):
    """Run the DAG after a policy has set attributes of its task."""
    for name, value in policy.items():
        setattr(dag.get_task("export"), name, value)
    return stage.run(dag)


def summary(run):
    """The summary of the one task, mapped or not."""
    return run.summary(map_index=run.instances("export")[0].map_index)


@pytest.mark.parametrize("kind", KINDS)
class TestOfAPolicy:
    """The same holds for each kind of task."""

    def test_a_suppression_list_withholds_people(self, stage, kind):
        """No person on it gets mail."""
        everyone = stage.segment(people(3), "suppressed")
        run = run_with(stage, export_task(stage, kind), suppression_list=everyone)
        assert 3 == summary(run)["counts"]["withheld"]
        assert stage.nothing_was_sent()

    @pytest.mark.parametrize("name", ["dry_run", "is_dry_run"])
    def test_a_dry_run_sends_nothing(self, stage, kind, name):
        """By the name of the argument, or of the attribute."""
        run = run_with(stage, export_task(stage, kind), **{name: True})
        assert summary(run)["dry_run"]
        assert stage.nothing_was_sent()

    def test_a_guard_stops_the_run(self, stage, kind):
        """Also instead of a guard of the DAG file."""
        dag = export_task(stage, kind, guards={"min_rows": 1})
        run = run_with(stage, dag, guards={"min_rows": 100})
        assert "failed" == run.state
        assert "`min_rows`, limit 100" in run.error
        assert stage.nothing_was_sent()

    def test_an_empty_template_of_a_policy_stops_the_run(self, stage, kind):
        """As one of the DAG file does."""
        run = run_with(stage, export_task(stage, kind), suppression_list="{{ none }}")
        assert "`suppression_list` was given but is empty" in run.error
        assert stage.nothing_was_sent()

    def test_none_leaves_out_what_was_left_out(self, stage, kind):
        """And does not take away what the DAG file gives: such a run stops."""
        assert "success" == run_with(stage, export_task(stage, kind), suppression_list=None).state
        dag = export_task(stage, kind, consent_column="consent")
        run = run_with(stage, dag, consent_column=None)
        assert "`consent_column` was given but is empty" in run.error


def test_a_policy_wins_over_the_mapped_value(stage):
    """As it wins over the DAG file's."""
    path = stage.segment(3)
    with DAG("policy_wins", schedule=None, start_date=START) as dag:
        given = {"task_id": "export", "conn_id": stage.connection("campaign_monitor"), "field_mapping": FIELD_MAPPING}
        SegmentExportOperator.partial(**given, segment=path).expand(dry_run=[False])
    run = run_with(stage, dag, dry_run=True)
    assert summary(run)["dry_run"]
    assert stage.nothing_was_sent()


@pytest.mark.parametrize(
    ("operator", "given"),
    [
        (SegmentExportUndoOperator, {"conn_id": "c"}),
        (SegmentExportVerifyOperator, {"conn_id": "c"}),
        (SegmentExportEraseOperator, {"emails_path": "e", "requested_by": "r"}),
    ],
)
def test_each_operator_keeps_the_arguments_of_a_policy(operator, given):
    """Also in a copy of the task, such as that of a part of the DAG."""
    name = "repair" if operator is SegmentExportVerifyOperator else "dry_run"
    mapped = next(iter(given))
    with DAG("kept", schedule=None, start_date=START):
        first, *rest = given.items()
        made = operator.partial(task_id="t", **dict(rest)).expand(**{mapped: [first[1]]})
    setattr(made, name, True)
    for each in (made, copy.copy(made), copy.deepcopy(made)):
        unmapped = each.unmap({mapped: first[1]})
        assert getattr(unmapped, "is_dry_run" if name == "dry_run" else name) is True
        assert first[1] == getattr(unmapped, mapped)


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_args_of_a_task_hold(stage, kind):
    """Airflow drops them if the task is mapped, so suppressed people would get mail, or a dry run would send."""
    defaults = {"suppression_list": stage.segment(people(1), "suppressed"), "dry_run": True, "retries": 2}
    run = stage.run(export_task(stage, kind, default_args=defaults))
    assert {"withheld": 1, "not_attempted": 2}.items() <= summary(run)["counts"].items()
    assert 2 == run.instances("export")[0].max_tries
    assert stage.nothing_was_sent()


def test_a_mapped_value_has_priority_over_default_args(stage):
    path = stage.segment(3)
    defaults = {"suppression_list": stage.segment(people(1), "suppressed"), "dry_run": True}
    with DAG("mapped_over_defaults", schedule=None, start_date=START) as dag:
        SegmentExportOperator.partial(
            task_id="export",
            conn_id=stage.connection("campaign_monitor"),
            field_mapping=FIELD_MAPPING,
            default_args=defaults,
        ).expand_kwargs([{"segment": path, "dry_run": False}])
    assert {"withheld": 1, "delivered": 2}.items() <= stage.run(dag).summary(map_index=0)["counts"].items()
