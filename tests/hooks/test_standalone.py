"""Hooks useful alone: in a task of one's own, or to look at an account."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk import DAG, ObjectStoragePath, task
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.errors import ConnectionNotAllowed, InvalidArgument, InvalidConnection
from airflow_provider_segexport.hooks import get_hook, get_hook_class
from airflow_provider_segexport.vendors import campaign_monitor
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow

TWO = ("campaign_monitor", "dotdigital")


@pytest.mark.parametrize("vendor", TWO)
def test_target_tells_account_and_audience(stage, vendor):
    """By name, with the number of members and the custom fields that there are."""
    stage.sim.seed(vendor, [{"email": "ann@example.com"}], stage.audience(vendor))
    audience = get_hook(stage.connection(vendor)).resolve_audience()
    assert ("Example Shop", "Customers", 1) == (audience.account_name, audience.audience_name, audience.member_count)
    assert audience.fields
    assert (
        stage.audience(vendor, 1)
        == get_hook(stage.connection(vendor)).resolve_audience(stage.audience(vendor, 1)).audience
    )


def test_call_runs_any_operation_of_the_vendor(stage):
    """Methods that an export uses are public."""
    hook = get_hook(stage.connection("campaign_monitor"))
    hook.run_operation(campaign_monitor.VENDOR.create_field(hook.resolve_audience(), "Shoe size", "number"))
    assert "number" == hook.resolve_audience().fields["shoe size"].type


@pytest.mark.parametrize("vendor", TWO)
def test_a_dataframe_is_exported_from_a_task(stage, vendor):
    """`hook.export` in a `@task` exports what the task holds in memory, in the name of the task's DAG."""
    conn_id = stage.connection(vendor, extra={"allowed_dags": "alone"})

    with DAG("alone", schedule=None) as dag:

        @task
        def export():
            report = get_hook_class(vendor)(conn_id).export(people(5), FIELD_MAPPING)
            return report["counts"]

        export()
    assert 5 == stage.run(dag).summary()["delivered"] == len(stage.members(vendor))


def test_a_segment_by_path_is_exported_by_hand(stage):
    """Outside any DAG a connection must allow all DAGs."""
    path = stage.segment(5)
    hook = get_hook(stage.connection("dotdigital"))
    assert 5 == hook.export(path, FIELD_MAPPING)["counts"]["delivered"]
    assert 5 == hook.export(stage.folder / "segment.parquet", FIELD_MAPPING, mode="full")["counts"]["delivered"]
    assert 5 == hook.export([path], FIELD_MAPPING, mode="upsert")["counts"]["unchanged"]
    with pytest.raises(ConnectionNotAllowed, match="outside a DAG"):
        get_hook(stage.connection("dotdigital", extra={"allowed_dags": "exports"})).export(path, FIELD_MAPPING)


def test_no_file_of_a_dataframe_is_left_behind(stage, tmp_path, monkeypatch):
    """Files written for the export are removed with it; the report stays."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    report = get_hook(stage.connection("dotdigital")).export(people(3), FIELD_MAPPING)
    assert [] == [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()]
    assert report["run_folder"].startswith(str(tmp_path / "state"))


def test_hook_for_an_unknown_connection(stage):
    """The error says where connections are made."""
    with pytest.raises(InvalidConnection, match="Admin > Connections"):
        get_hook("nobody_made_it")


class TestButton:
    """The result of `test_connection`."""

    @pytest.mark.parametrize("vendor", VENDORS)
    def test_names_account_and_audience(self, stage, vendor):
        """It includes the member count if the vendor returns one."""
        works, message = get_hook(stage.connection(vendor)).test_connection()
        assert works, message
        assert "account 'Example Shop'" in message
        assert repr(stage.vendor(vendor)["audiences"][0]["name"]) in message

    def test_without_an_audience_the_account_is_enough(self, stage):
        """A default audience is no must."""
        works, message = get_hook(stage.connection("dotdigital", extra={"default_audience": None})).test_connection()
        assert (True, "dotdigital account 'Example Shop'.") == (works, message)

    def test_notes_what_keeps_it_from_exports(self, stage):
        """It works, and no DAG may use it yet."""
        works, message = get_hook(stage.connection("dotdigital", extra={"privacy_consent": False})).test_connection()
        assert works
        assert "Not ready for exports" in message
        assert "no consent" in message

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"password": "planted-wrong-password"}, "the API user's name or password"),
            ({"login": None}, "has no API user"),
            ({"host": "http://127.0.0.1:9"}, "127.0.0.1:9"),
            ({"host": "ftp://x"}, "base URL"),
            ({"extra": {"default_audience": "99"}}, "address book"),
            ({"conn_type": "campaign_monitor"}, "of type"),
        ],
    )
    def test_says_what_is_wrong_and_no_secret(self, stage, changes, expected):
        """The UI shows the message to a user that may test connections."""
        works, message = get_hook_class("dotdigital")(stage.connection("dotdigital", **changes)).test_connection()
        assert not works
        assert expected in message
        assert "planted" not in message
        assert stage.vendor("dotdigital")["credentials"]["password"] not in message


class TestSignIn:
    """Campaign Monitor's OAuth2 login, as tasks use it."""

    def connection(self, stage):
        token = stage.vendor("campaign_monitor")["credentials"]["oauth"]["refresh_token"]
        return stage.connection("campaign_monitor", password=None, extra={"refresh_token": token})

    def renewals(self, stage):
        return [call for call in stage.sim.requests() if call["path"].endswith("/oauth/token")]

    def test_a_second_task_finds_the_first_ones_token(self, stage):
        """One login serves all tasks of a connection: a rotating refresh token is good for one use."""
        conn_id = self.connection(stage)
        stage.segment(3)
        assert "success" == stage.export(conn_id=conn_id).state
        assert "success" == stage.export(conn_id=conn_id).state
        assert 1 == len(self.renewals(stage))

    def test_an_expired_token_is_renewed_once(self, stage):
        """Code 121 renews; the call is made again, and nothing else notices."""
        conn_id = self.connection(stage)
        stage.segment(3)
        stage.export(conn_id=conn_id)
        stage.sim.clock.advance(3600)
        stage.sim.act("campaign_monitor", "expire_tokens")
        assert [] == stage.export(conn_id=conn_id, mode="full").errors
        assert 2 == len(self.renewals(stage))

    def test_a_revoked_sign_in_needs_a_person(self, stage):
        """The error says to log in again, and does not show the token."""
        conn_id = self.connection(stage)
        stage.segment(3)
        stage.sim.act("campaign_monitor", "revoke_tokens")
        run = stage.export(conn_id=conn_id)
        assert "failed" == run.state
        assert "log in again" in run.error
        assert stage.vendor("campaign_monitor")["credentials"]["oauth"]["refresh_token"] not in run.error
        assert stage.nothing_was_sent()

    def test_every_token_that_appears_is_masked(self, stage, masked):
        """The refresh token of the connection, the access token it becomes, and the next refresh token."""
        conn_id = self.connection(stage)
        stage.segment(3)
        stage.export(conn_id=conn_id)
        oauth = stage.vendor("campaign_monitor")["credentials"]["oauth"]
        assert oauth["refresh_token"] in masked
        assert len({token for token in masked if len(token) == len(oauth["access_token"])}) >= 2


@pytest.mark.parametrize("name", ["reports_path", "export_name", "consent_column"])
def test_an_argument_with_half_of_a_surrogate_pair_is_refused_before_any_call(stage, name):
    """No retry can write such a text as UTF-8."""
    hook = get_hook(stage.connection("dotdigital"))
    with pytest.raises(InvalidArgument, match=rf"`{name}` is 'r\\udc80', .* To fix: replace such characters"):
        hook.export(stage.segment(3), FIELD_MAPPING, **{name: "r\udc80"})
    assert not stage.sim.requests(vendor="dotdigital")


@pytest.mark.parametrize("kind", [Path, ObjectStoragePath])
def test_a_reports_path_may_be_a_path(stage, kind):
    """As for the operator, whose arguments the hook has."""
    hook = get_hook(stage.connection("dotdigital"))
    folder = stage.folder / "reports"
    report = hook.export(stage.segment(3), FIELD_MAPPING, reports_path=kind(f"{folder}"))
    assert report["run_folder"].removeprefix("file://").startswith(f"{folder}/")
    assert hook.verify(reports_path=kind(f"{folder}"))["run_folder"].removeprefix("file://").startswith(f"{folder}/")


def test_a_reports_path_with_nul_is_refused_before_any_call(stage):
    """No file system has such a name."""
    hook = get_hook(stage.connection("dotdigital"))
    with pytest.raises(InvalidArgument, match=r"`reports_path` is .*, and no path contains NUL"):
        hook.export(stage.segment(3), FIELD_MAPPING, reports_path=f"{stage.folder}/a\0b")
    assert not stage.sim.requests(vendor="dotdigital")
