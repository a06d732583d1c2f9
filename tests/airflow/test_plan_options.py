"""Options of `airflow segexport plan`: each argument of an export is one, and means what the operator takes."""

from __future__ import annotations

import pandas as pd
import pytest
from airflow_fixtures import people
from airflow_plan_command import CANARY, code_of, operator_of

from airflow_provider_segexport.cli import get_commands
from airflow_provider_segexport.cli.plan_options import ARGUMENTS, flag
from airflow_provider_segexport.hooks import options
from airflow_provider_segexport.hooks.consent_arguments import PROOF_ARGUMENTS

pytestmark = pytest.mark.airflow


class TestOptions:
    """The options are the table of arguments that operator and hook share."""

    def test_every_argument_that_says_what_is_exported_is_an_option(self):
        """With a help text; those that say how a task runs are none."""
        plan = next(sub for sub in get_commands()[0].subcommands if sub.name == "plan")
        flags = {item for argument in plan.args for item in argument.flags}
        table = {argument.name: argument for argument in options.EXPORT}
        of_task = {"dry_run", "expected_plan", "deferrable", "poll_interval", "job_timeout", "latest_only"}
        of_task |= {"reports_path", "fetch_optouts"}
        assert {name for name, argument in table.items() if argument.of_task} == of_task
        assert flags - {"conn_id", "segment", "-o", "--output", "-v", "--verbose"} == {
            flag(argument) for argument in ARGUMENTS if argument.name != "segment"
        }
        assert all(argument.kwargs["help"] for argument in plan.args)

    def test_every_option_reaches_the_call_as_the_operator_takes_it(self, stage, command, tmp_path, monkeypatch):
        """All at once; relative paths become absolute, and the pasted task has the values."""
        rows = people(4)
        rows["ok"], rows["my tier"], rows["born"] = True, "gold", "31.12.1990"
        stage.segment(rows, "one")
        stage.segment(rows, "two")
        pd.DataFrame({"email": ["other@example.com"]}).to_parquet(stage.folder / "list.parquet")
        monkeypatch.chdir(stage.folder)
        given = (
            "--audience", "name:Customers", "--custom-field", "tier=my tier", "--custom-field", "born=born",
            "--create-custom-fields", "--date-format", "born=%d.%m.%Y",
            "--create-audience", "--default-region", "de", "--mode", "mirror", "--as-of", "2026-03-01",
            "--subscribe", "never", "--on-stale", "fail", "--export-name", "dag.task",
            "--allow-shared-audience", "--adopt-existing",
            "--consent-column", "ok", "--suppression-list", "list.parquet", "--partition-columns",
            "--guard", "min_rows=off", "--guard", "max_growth=1:fail", "--guard", "max_shrink=:warn",
            "--max-profiles", "500",
        )  # fmt: skip
        code, text = command(
            "plan", stage.connection("campaign_monitor"), "one.parquet", "two.parquet", "--map", "email=email", *given
        )
        assert code == 0, text
        _, task = operator_of(code_of(text))
        folder = str(stage.folder)
        assert task.segment == [f"{folder}/one.parquet", f"{folder}/two.parquet"]
        assert task.suppression_list == f"{folder}/list.parquet"
        assert task.custom_fields == {"tier": "my tier", "born": "born"}
        assert task.date_formats == {"born": "%d.%m.%Y"}
        assert task.guards == {
            "min_rows": None,
            "max_growth": {"limit": 1, "action": "fail"},
            "max_shrink": {"action": "warn"},
        }
        named = {argument.name for argument in ARGUMENTS} - {"segment", "field_mapping", *PROOF_ARGUMENTS}
        assert [] == [name for name in named if f"    {name}=" not in text]
        assert (task.max_profiles, task.default_region, task.create_audience) == (500, "de", True)

    def test_proof_of_consent_is_masked_too(self, stage, command):
        """Its columns are options, and its values are a person's."""
        rows = people(3)
        rows["ok"], rows["at"] = True, "2025-12-03T04:05:06Z"
        rows["source"], rows["ip"], rows["agent"] = f"https://{CANARY}.com/form", "198.51.100.77", CANARY
        given = {
            "consent_column": "ok", "subscribe": "with_proof", "consented_at_column": "at",
            "consent_source_column": "source", "consent_text": "I agree.", "consent_ip_column": "ip",
            "consent_user_agent_column": "agent",
        }  # fmt: skip
        flags = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
        conn_id, path = stage.connection("dotdigital"), stage.segment(rows)
        code, text = command("plan", conn_id, path, "--map", "email=email", *flags)
        assert code == 0, text
        task = operator_of(code_of(text))[1]
        assert given == {name: getattr(task, name) for name in given}
        assert "consentRecords" in text
        assert (CANARY in text, "198.51" in text, "04:05" in text) == (False, False, False)

    def test_a_wrong_command_line_is_exit_code_2(self, stage, command):
        """Before the connection is read."""
        path = stage.segment(3)
        for wrong in (
            ("--map", "first_name"),
            ("--map", "=column"),
            ("--map", "first_name="),
            ("--map", "{"),
            ("--map", '{"first_name": 1}'),
            ("--map", "email=other"),
            ("--guard", "max_shrink"),
            ("--guard", "max_shrink=much"),
            ("--guard", "max_shrink=0.3:"),
            ("--guard", "max_shrink=0.3", "--guard", "max_shrink=0.4"),
            ("--mode", "merge"),
            ("--max-profiles", "many"),
            ("--dry-run",),
            ("-o", "csv"),
        ):
            code, text = command("plan", "no_connection", path, "--map", "email=email", *wrong)
            assert code == 2, (wrong, text)

    def test_a_value_that_an_export_refuses_is_exit_code_1(self, stage, command):
        """With the operator's own error."""
        conn_id, path = stage.connection("dotdigital"), stage.segment(3)
        for wrong, expected in (
            (("--guard", "max_shrnk=0.3"), "There is no guard 'max_shrnk'"),
            (("--guard", "max_shrink=0.3:panic"), "action of guard max_shrink"),
            (("--guard", "max_shrink=nan"), "the limit is nan"),
            (("--audience", ""), "`audience` was given but is empty"),
            (("--audience", "{{ var.value.list }}"), "contains a template that was not rendered"),
            (("--as-of", "yesterday"), "as_of"),
            (("--as-of", "2062-03-05"), "which is in the future"),
            (("--default-region", "Germany"), "not a country's code"),
            (("--map", "shoe_size=tier"), "shoe_size"),
            (("--map", "phone=missing"), "no column 'missing'"),
            (("--max-profiles", "2"), "more than `max_profiles`"),
            (("--suppression-list", "/no/such/list.parquet"), "/no/such/list.parquet"),
        ):
            code, text = command("plan", conn_id, path, "--map", "email=email", *wrong)
            assert (code, expected in text) == (1, True), (wrong, text)
        assert stage.nothing_was_sent()

    def test_a_segment_that_is_none(self, stage, command, monkeypatch):
        """An empty text is not the current folder."""
        monkeypatch.chdir(stage.folder)
        conn_id, _ = stage.connection("dotdigital"), stage.segment(3)
        for path in ("", " ", "/no/such/file.parquet", "none", "[]", "nosuch://bucket/key"):
            code, text = command("plan", conn_id, path, "--map", "email=email")
            assert code == 1, (path, text)
            assert "To fix" in text or "does not exist" in text
        assert stage.nothing_was_sent()

    def test_a_name_with_an_equals_sign_is_given_as_json(self, stage, command):
        """Also a column that has one."""
        rows = people(3).rename(columns={"tier": "a=b"})
        code, text = command(
            "plan", stage.connection("campaign_monitor"), stage.segment(rows), "--map", "email=email",
            "--custom-field", '{"x=y": "a=b"}', "--create-custom-fields",
        )  # fmt: skip
        assert code == 0, text
        assert operator_of(code_of(text))[1].custom_fields == {"x=y": "a=b"}
