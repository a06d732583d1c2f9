"""A connection or vendor that cannot be used: the task ends before anything is sent, and its error says what to do."""

from __future__ import annotations

import pytest
from airflow_refusals import refused

pytestmark = pytest.mark.airflow

TWO = ("campaign_monitor", "dotdigital")


class TestConnection:
    """Settings that an administrator controls."""

    def test_unknown(self, stage):
        """A connection that is not there is named, and where connections are made."""
        stage.segment(3)
        refused(stage, "no Airflow connection 'nobody_made_it'", "Admin > Connections", conn_id="nobody_made_it")

    def test_of_a_foreign_type(self, stage):
        """The error lists the types that an export takes."""
        stage.segment(3)
        conn_id = stage.connection("dotdigital", conn_type="http")
        refused(stage, "of type 'http'", "campaign_monitor, ", "dotdigital", conn_id=conn_id)

    @pytest.mark.parametrize("consent", [False, None, "false", "0"])
    def test_without_consent(self, stage, consent):
        """Consent is off until a user turns it on, however the form writes that."""
        stage.segment(3)
        conn_id = stage.connection("dotdigital", extra={"privacy_consent": consent})
        refused(stage, "no consent to the data privacy terms", "ask an administrator", conn_id=conn_id)

    @pytest.mark.parametrize("empty_name", [None, "", "  "])
    def test_without_a_name_under_the_consent(self, stage, empty_name):
        """Consent needs the name of a person."""
        stage.segment(3)
        conn_id = stage.connection("dotdigital", extra={"consented_by": empty_name})
        refused(stage, "does not name who consented to the exports", "'Consented by'", conn_id=conn_id)

    @pytest.mark.parametrize("allowed", [None, "", "other", "other, export", "Exports", "export?s", ["others"]])
    def test_dag_not_allowed(self, stage, allowed):
        """The error says how an administrator lets this DAG in, and what the connection allows now."""
        stage.segment(3)
        conn_id = stage.connection("dotdigital", extra={"allowed_dags": allowed})
        messages = ("DAG 'exports' may not use connection", "'Allowed DAGs'", "add `exports`")
        refused(stage, *messages, conn_id=conn_id)

    @pytest.mark.parametrize(
        "allowed", ["*", "exports", "exp*", "other, export?", "[e]xports", ["exports"], " exports ,"]
    )
    def test_dag_allowed(self, stage, allowed):
        """Ids and patterns, comma-separated; any one that fits is enough."""
        stage.segment(3)
        assert "success" == stage.export(conn_id=stage.connection("dotdigital", extra={"allowed_dags": allowed})).state

    @pytest.mark.parametrize("enabled", [False, "false", "off"])
    def test_switched_off(self, stage, enabled, capsys):
        """A switch stops every export through a connection at once: the task is skipped, and its log says why."""
        stage.segment(3)
        conn_id = stage.connection("dotdigital", extra={"export_enabled": enabled})
        assert "skipped" == stage.export(conn_id=conn_id).task().state
        assert [] == stage.sim.requests()
        log = capsys.readouterr().out
        assert f"Exports through connection '{conn_id}' are disabled" in log
        assert "'Exports enabled'" in log

    def test_switch_that_was_never_touched(self, stage):
        """The form saves what was left alone as null: exports are on."""
        stage.segment(3)
        assert "success" == stage.export(conn_id=stage.connection("dotdigital", extra={"export_enabled": None})).state

    def test_credential_missing(self, stage):
        """A missing value is named with the form's label."""
        stage.segment(3)
        refused(stage, "API user", conn_id=stage.connection("dotdigital", login=None))
        refused(stage, "API key", conn_id=stage.connection("campaign_monitor", password=None))

    def test_extra_that_is_no_json(self, stage):
        """The extra is not quoted: it may hold a secret."""
        stage.segment(3)
        error = refused(stage, "extra is not JSON", conn_id=stage.connection("dotdigital", extra={}) and made(stage))
        assert "s3cret" not in error

    @pytest.mark.parametrize(
        "host", ["ht!tp://x", "ftp://api.example.com", "https://", "https://a b", "http://x:port", "https://u:p@x.test"]
    )
    def test_bad_base_url(self, stage, host):
        """The error shows what an address looks like."""
        stage.segment(3)
        conn_id = stage.connection("dotdigital", host=host)
        refused(stage, "base URL is not a URL such as https://api.example.com", conn_id=conn_id)

    def test_no_audience_anywhere(self, stage):
        """Either the task or the connection names the audience."""
        stage.segment(3)
        messages = ("No address book given", "`audience=`")
        refused(stage, *messages, conn_id=stage.connection("dotdigital", extra={"default_audience": None}))


def made(stage):
    stage.setenv("AIRFLOW_CONN_NO_JSON", "dotdigital://user:s3cret@host/?__extra__=%7Bs3cret")
    return "no_json"


class TestVendor:
    """Facts that only the vendor knows: checked before anything is sent."""

    def test_wrong_credentials(self, stage):
        """Which fields to look at, and where the vendor shows them."""
        stage.segment(3)
        conn_id = stage.connection("dotdigital", password="wrong-password")
        assert "wrong-password" not in refused(stage, "401", "the API user's name or password", conn_id=conn_id)
        refused(stage, "API key", conn_id=stage.connection("campaign_monitor", password="wrong-api-key"))

    def test_missing_permission(self, stage):
        """The right that the login lacks is named."""
        stage.segment(3)
        stage.sim.reset({"campaign_monitor": {"scopes": ["ViewSubscribersInReports"]}}, seed=1)
        oauth = stage.vendor("campaign_monitor")["credentials"]["oauth"]
        conn_id = stage.connection("campaign_monitor", password=None, extra={"refresh_token": oauth["refresh_token"]})
        refused(stage, "ImportSubscribers", "ManageLists", conn_id=conn_id)

    def test_unknown_audience(self, stage):
        """Where the id is found at the vendor."""
        stage.segment(3)
        refused(stage, "no address book", conn_id=stage.connection("dotdigital"), audience="99")
        refused(stage, "list", conn_id=stage.connection("campaign_monitor"), audience="0" * 32)
        refused(stage, "32 characters", conn_id=stage.connection("campaign_monitor"), audience="short")
        refused(stage, "is a number", conn_id=stage.connection("dotdigital"), audience="Customers")

    @pytest.mark.parametrize("vendor", TWO)
    def test_tls_error(self, stage, vendor):
        """An address that does not speak TLS, or not with a trusted name, is not talked to."""
        stage.segment(3)
        https = stage.vendor(vendor)["base_url"].replace("http://", "https://")
        refused(stage, "TLS", "base URL", conn_id=stage.connection(vendor, host=https))

    @pytest.mark.parametrize("vendor", TWO)
    @pytest.mark.parametrize(
        "fault", [{"status": 503}, {"drop": True}, {"garble": "html"}, {"status": 200, "garble": "html"}]
    )
    def test_down(self, stage, vendor, fault):
        """A vendor that stays down fails the try, which Airflow may repeat."""
        stage.segment(3)
        stage.sim.faults([{"vendor": vendor, "count": 0, **fault}])
        refused(stage, vendor, "A retry resumes where this try stopped", conn_id=stage.connection(vendor))
        assert len(stage.sim.requests(vendor=vendor)) > 3

    @pytest.mark.parametrize("vendor", TWO)
    def test_times_out(self, stage, vendor, monkeypatch):
        """No answer within the vendor's own time counts as down."""
        from airflow_provider_segexport.http import client

        monkeypatch.setattr(client.requests.Session, "send", timeout)
        stage.segment(3)
        refused(stage, "did not respond in time", conn_id=stage.connection(vendor))

    def test_no_server(self, stage):
        """A port without a server is a vendor that is down."""
        stage.segment(3)
        refused(stage, "A retry resumes", conn_id=stage.connection("dotdigital", host="http://127.0.0.1:9"))

    def test_redirect(self, stage):
        """Credentials do not follow a redirect."""
        stage.segment(3)
        stage.sim.faults([{"count": 0, "status": 302, "headers": {"location": "http://elsewhere.test/"}}])
        refused(stage, "redirect", "base URL", conn_id=stage.connection("dotdigital"))

    def test_a_short_outage_is_waited_out(self, stage):
        """The worker itself tries again for a while: a hiccup costs no try of the task."""
        stage.segment(3)
        stage.sim.faults([{"count": 3, "status": 503}])
        assert "success" == stage.export(conn_id=stage.connection("campaign_monitor")).state


def timeout(*_, **__):
    from requests.exceptions import ReadTimeout

    raise ReadTimeout("nothing came")
