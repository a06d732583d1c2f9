"""Operator, hook and table of arguments, held against each other: an argument of one is an argument of all."""

from __future__ import annotations

import inspect
from dataclasses import fields
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.errors import InvalidArgument, SegexportError
from airflow_provider_segexport.export.config import ExportConfig
from airflow_provider_segexport.hooks import arguments, get_hook, options
from airflow_provider_segexport.hooks.base import SegmentExportHook
from airflow_provider_segexport.hooks.consent_arguments import CONSENT_ARGUMENTS
from airflow_provider_segexport.hooks.left_out import LEFT_OUT
from airflow_provider_segexport.operators.base import BaseAudienceOperator
from airflow_provider_segexport.operators.rendering import ATTRIBUTE_NAMES
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.operators.segment_export_erase import SegmentExportEraseOperator
from airflow_provider_segexport.operators.segment_export_undo import SegmentExportUndoOperator
from airflow_provider_segexport.operators.segment_export_verify import SegmentExportVerifyOperator

pytestmark = pytest.mark.airflow

TABLE = {argument.name: argument for argument in options.EXPORT}
OPERATOR_ONLY = {"deferrable"}
HOOK_ONLY = {"dag_id"}
SAFETIES = sorted(name for name, argument in TABLE.items() if not argument.may_be_empty and not argument.required)


def parameters(function):
    """Arguments with their defaults, without what is no argument of an export."""
    taken = inspect.signature(function).parameters
    return {
        name: parameter.default
        for name, parameter in taken.items()
        if name not in {"self", "kwargs", "conn_id", "optouts_asset", "test_row_to"}
    }


class TestParity:
    """A new argument of the operator, the hook or the table that the others lack fails here."""

    def test_operator_hook_and_table_have_the_same_arguments(self):
        """But for those that only one of them can have."""
        operator, hook = parameters(SegmentExportOperator.__init__), parameters(SegmentExportHook.export)
        assert set(TABLE) == set(operator)
        assert set(TABLE) - OPERATOR_ONLY == set(hook) - HOOK_ONLY

    @pytest.mark.parametrize("name", sorted(set(TABLE) - OPERATOR_ONLY))
    def test_a_default_is_the_same_everywhere(self, name):
        """In both signatures, and in the table, which explains what `LEFT_OUT` means."""
        operator, hook = parameters(SegmentExportOperator.__init__), parameters(SegmentExportHook.export)
        assert operator[name] == hook[name]
        if TABLE[name].required:
            assert operator[name] is inspect.Parameter.empty
        elif operator[name] is not LEFT_OUT and operator[name] is not None:
            assert TABLE[name].default == operator[name]

    @pytest.mark.parametrize("name", SAFETIES)
    def test_none_is_no_default_where_a_template_may_render_to_it(self, name):
        """Otherwise an argument whose value is None could not be distinguished from one that was left out."""
        assert parameters(SegmentExportOperator.__init__)[name] is not None

    @pytest.mark.parametrize(
        ("operator", "table"),
        [
            (SegmentExportOperator, options.EXPORT),
            (SegmentExportUndoOperator, options.UNDO),
            (SegmentExportVerifyOperator, options.VERIFY),
            (SegmentExportEraseOperator, options.ERASE),
        ],
    )
    def test_every_argument_is_a_template_field(self, operator, table):
        """And nothing else is, but the connection."""
        wanted = {ATTRIBUTE_NAMES.get(argument.name, argument.name) for argument in table}
        assert wanted == set(operator.template_fields) - {"conn_id"}
        taken = set(parameters(operator.__init__)) | set(parameters(BaseAudienceOperator.__init__))
        assert {argument.name for argument in table} <= taken

    def test_every_field_of_an_order_is_fed(self):
        """From an argument of its name or by the builder; `undo` and `verify` by the other operators."""
        built = {"run", "consent", "conn_id", "segment_name", "undo", "verify", "snapshot_at", "segment_part"}
        assert {field.name for field in fields(ExportConfig)} == {
            field.name for field in fields(ExportConfig)
        } & TABLE.keys() | built

    def test_every_argument_reaches_an_order_or_how_it_is_run(self):
        """An argument that nothing reads is a safety that is not there."""
        ours = set(CONSENT_ARGUMENTS)
        running = {"latest_only", "reports_path", "deferrable", "poll_interval"}
        assert set(TABLE) - {field.name for field in fields(ExportConfig)} == ours | running

    @pytest.mark.parametrize("name", sorted(set(TABLE) - OPERATOR_ONLY))
    def test_a_value_that_cannot_be_read_has_one_error(self, stage, name):
        """The operator's and the hook's, word for word."""
        bad = object()
        conn_id, path = stage.connection("dotdigital"), stage.segment(3)
        given = {"segment": path, "field_mapping": FIELD_MAPPING, name: bad}
        run = stage.export(conn_id=conn_id, **given)
        with pytest.raises(AirflowFailException) as caught:
            get_hook(conn_id).export(**given)
        address = str(bad)
        assert run.error.replace(address, "it") == str(caught.value).replace(address, "it")
        assert isinstance(run.errors[0], AirflowFailException)
        assert stage.nothing_was_sent()


EMPTY = (
    "",
    " \n",
    "None",
    "null",
    None,
    [],
    [""],
    ["/a.parquet", None],
    "[]",
    "['']",
    "NOTSET",
    float("nan"),
    pd.NaT,
    np.nan,
)


class TestNothing:
    """A value that was given but is empty."""

    @pytest.mark.parametrize("empty", EMPTY, ids=repr)
    @pytest.mark.parametrize("name", SAFETIES)
    def test_stops_the_run_for_every_safety(self, name, empty):
        """Whatever it is that a template, a form or an upstream task has brought."""
        with pytest.raises(InvalidArgument, match=f"`{name}` was given but is empty"):
            options.values(options.EXPORT, {"segment": "/a", "field_mapping": FIELD_MAPPING, name: empty})

    @pytest.mark.parametrize(
        "name", ["suppression_list", "consent_column", "dry_run", "expected_plan", "audience", "guards", "mode"]
    )
    @pytest.mark.parametrize("native", [False, True])
    def test_stops_a_task_before_anything_is_sent(self, stage, name, native):
        """The error names the argument, and how to have none."""
        stage.segment(3)
        about = {"params": {"x": None}, "render_template_as_native_obj": native}
        run = stage.export(conn_id=stage.connection("dotdigital"), **about, **{name: "{{ params.x }}"})
        assert "failed" == run.state
        assert f"`{name}` was given but is empty" in run.error
        assert "leave the argument out" in run.error
        assert [] == stage.sim.requests()

    def test_an_upstream_task_that_returns_nothing_stops_the_run(self, stage):
        """As the suppression list of a day on which the warehouse gave none."""
        stage.segment(3)
        conn_id = stage.connection("dotdigital")
        with DAG("exports", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:

            @task
            def suppressed():
                return None

            path = str(stage.folder / "segment.parquet")
            about = {"conn_id": conn_id, "segment": path, "field_mapping": FIELD_MAPPING}
            SegmentExportOperator(task_id="export", **about, suppression_list=suppressed())
            SegmentExportOperator.partial(task_id="mapped", **about).expand(suppression_list=[None, path])
        run = stage.run(dag)
        assert ["failed", "failed", "success"] == [
            str(instance.state) for instance in [run.task("export"), *run.instances("mapped")]
        ]
        assert stage.nothing_was_sent()

    def test_a_guard_whose_template_renders_to_nothing_is_not_switched_off(self, stage):
        """None written in the DAG file switches a guard off; None that comes from a param does not."""
        stage.segment(3)
        about = {"params": {"x": None}, "render_template_as_native_obj": True}
        run = stage.export(conn_id=stage.connection("dotdigital"), **about, guards={"max_shrink": "{{ params.x }}"})
        assert "Guard 'max_shrink': the limit is None" in run.error
        assert "success" == stage.export(conn_id=stage.connection("dotdigital"), guards={"max_shrink": None}).state

    def test_a_guard_whose_upstream_task_returns_nothing_is_not_switched_off(self, stage):
        """As the template; limit and action by name are understood from upstream too."""
        stage.segment(3)
        with DAG("upstream_guards", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:

            @task
            def limit(value):
                return value

            about = {"conn_id": stage.connection("dotdigital"), "segment": str(stage.folder / "segment.parquet")}
            for task_id, value in {"none": None, "number": 2, "named": {"limit": 5, "action": "warn"}}.items():
                guards = {"min_rows": limit(value)}
                SegmentExportOperator(
                    task_id=task_id, **about, field_mapping=FIELD_MAPPING, allow_shared_audience=True, guards=guards
                )
        run = stage.run(dag)
        assert "Guard 'min_rows': the limit is None" in run.error
        assert ["success"] * 2 == [str(run.task(name).state) for name in ("number", "named")]

    @pytest.mark.parametrize("name", ["audience", "ledger_version", "export_name", "dry_run"])
    def test_stops_an_undo(self, name):
        """An undo of whichever version is another one than was meant."""
        with pytest.raises(InvalidArgument, match=f"`{name}` was given but is empty"):
            options.values(options.UNDO, {name: "None"})


class TestEndings:
    """How `hook.export` ends, in Airflow's exceptions and in the package's own."""

    def ending(self, stage, *, extra=None, **given):
        conn_id = stage.connection("dotdigital", extra=extra or {})
        with pytest.raises(SegexportError) as caught:
            get_hook(conn_id).export(stage.segment(3), **{"field_mapping": FIELD_MAPPING, **given})
        return caught.value

    def test_switched_off_is_a_skip(self, stage):
        """As the operator's task is skipped."""
        assert isinstance(self.ending(stage, extra={"export_enabled": False}), AirflowSkipException)

    def test_an_older_snapshot_is_a_skip_or_a_failure(self, stage):
        """As `on_stale` says."""
        get_hook(stage.connection("dotdigital")).export(
            stage.segment(3), FIELD_MAPPING, as_of="2026-03-02", export_name="spring"
        )
        assert isinstance(self.ending(stage, as_of="2026-03-01", export_name="spring"), AirflowSkipException)
        assert isinstance(
            self.ending(stage, as_of="2026-03-01", export_name="spring", on_stale="fail"), AirflowFailException
        )

    @pytest.mark.parametrize(
        "given",
        [
            {"field_mapping": {"email": "mail"}},
            {"mode": "mirrored"},
            {"dry_run": "perhaps"},
            {"as_of": "yesterday"},
            {"field_mapping": "email"},
            {"max_profiles": 2},
        ],
    )
    def test_what_needs_a_person_is_final(self, stage, given):
        """No retry helps."""
        assert isinstance(self.ending(stage, **given), AirflowFailException)

    def test_a_vendor_that_is_down_may_be_tried_again(self, stage):
        """The text says that another try goes on."""
        stage.sim.faults([{"count": 0, "status": 503}])
        error = self.ending(stage)
        assert not isinstance(error, AirflowFailException | AirflowSkipException)
        assert "A retry resumes where this try stopped" in str(error)

    def test_a_foreign_error_quotes_no_value(self, stage, monkeypatch, caplog):
        """Neither an address nor a number nor anything in quotes."""

        def broken(*_, **__):
            number = "+49 170 " + str(1234000 + 567)
            raise ValueError(f"Could not convert '{number}' of {'ann'}@example.com: {number}")

        monkeypatch.setattr(arguments, "mapping", broken)
        with pytest.raises(Exception, match="ValueError") as caught:
            get_hook(stage.connection("dotdigital")).export(people(3), FIELD_MAPPING)
        for secret in ("1234567", "ann@"):
            assert secret not in str(caught.value)
            assert secret not in caplog.text
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(("given", "code"), [("DE", "DE"), (" de ", "DE"), ("uk", "GB")])
def test_default_region_is_the_code_of_a_country(given, code):
    assert arguments.region(given, "default_region") == code


@pytest.mark.parametrize("given", ["Germany", "DEU", "XX", "D", "+49", 49, "ß", ["DE"], True])
def test_default_region_refuses_all_but_codes(given):
    """A name or a calling code could be meant in two ways."""
    with pytest.raises(InvalidArgument, match=r"`default_region` is .* To fix: set `default_region`"):
        arguments.region(given, "default_region")
