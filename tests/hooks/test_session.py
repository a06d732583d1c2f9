"""The session that a connection makes: its credentials, headers, timeouts and trusted authorities."""

from __future__ import annotations

import base64
import logging

import pytest
import requests
from airflow.sdk.exceptions import AirflowException
from hook_credentials import KEY, NOW, PASSWORD, USER

from airflow_provider_segexport.errors import InvalidConnection, SegexportError
from airflow_provider_segexport.hooks.campaign_monitor import CampaignMonitorHook
from airflow_provider_segexport.hooks.dotdigital import DotdigitalHook

pytestmark = pytest.mark.airflow

CM, DD = "https://api.createsend.com", "https://r1-api.dotdigital.com"
CLIENTS = f"{CM}/api/v3.3/clients.json"
INFO = f"{DD}/v2/account-info"
ACCOUNT = {"id": 7, "properties": [{"name": "ApiEndpoint", "value": DD}, {"name": "Name", "value": "Shop"}]}
READY = {"privacy_consent": True, "consented_by": "Ann", "allowed_dags": "*"}
EXTRAS = {
    "refresh_token": "cm-refresh-0123456789",
    "privacy_consent": True,
    "consented_by": "Ann",
    "allowed_dags": "*",
    "note_to_self": "a-note-0123456789",
    "proxies": {"https": "http://who:proxy-password@proxy.test:3128"},
}


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def cm(connect, requests_mock, time):
    requests_mock.get(CLIENTS, json=[{"Name": "Shop"}])
    return CampaignMonitorHook(connect("campaign_monitor"))


@pytest.fixture
def dd(connect, requests_mock, time):
    requests_mock.get(INFO, json=ACCOUNT)
    return DotdigitalHook(connect("dotdigital", READY))


def test_no_extra_travels_as_a_header(connect, requests_mock, time):
    """HttpHook would send every extra of the connection to the vendor, secrets too."""
    requests_mock.get(CLIENTS, json=[{"Name": "Shop"}])
    hook = CampaignMonitorHook(connect("campaign_monitor", EXTRAS))
    hook.resolve_audience()
    assert {"user-agent", "accept-encoding", "accept", "connection"} == {
        name.lower() for name in hook.get_conn().headers
    }
    sent = str(requests_mock.last_request.headers) + requests_mock.last_request.url
    assert [] == [value for value in EXTRAS.values() if isinstance(value, str) and len(value) > 5 and value in sent]
    assert requests_mock.last_request.headers["User-Agent"].startswith("airflow-provider-segexport/")


def test_campaign_monitor_signs_with_the_key_as_user(cm, requests_mock):
    """The vendor takes the key for the user's name, and no password."""
    cm.resolve_audience()
    assert basic(KEY, "x") == requests_mock.last_request.headers["Authorization"]


def test_dotdigital_signs_as_its_api_user(dd, requests_mock):
    """User and password of the connection."""
    dd.resolve_audience()
    assert basic(USER, PASSWORD) == requests_mock.last_request.headers["Authorization"]


def test_every_call_has_the_vendors_own_time(cm, dd, requests_mock):
    """Ten seconds to connect; then as long as the vendor itself advises."""
    cm.resolve_audience()
    assert (10, 120) == requests_mock.last_request.timeout
    dd.resolve_audience()
    assert (10, 121) == requests_mock.last_request.timeout


@pytest.mark.parametrize(
    ("extra", "verified"),
    [
        ({}, True),
        ({"verify": None}, True),
        ({"verify": "true"}, True),
        ({"verify": False}, False),
        ({"verify": "False"}, False),
        ({"verify": __file__}, __file__),
    ],
)
def test_tls_is_verified_unless_an_administrator_says_otherwise(connect, requests_mock, monkeypatch, extra, verified):
    """A company's own authority is in REQUESTS_CA_BUNDLE, or in the connection, which wins."""
    requests_mock.get(INFO, json=ACCOUNT)
    hook = DotdigitalHook(connect("dotdigital", extra))
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    hook.resolve_audience()
    assert verified == requests_mock.last_request.verify
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/hosts")
    hook.resolve_audience()
    assert ("/etc/hosts" if verified is True else verified) == requests_mock.last_request.verify


def test_proxies_and_a_client_certificate_come_from_the_extra(connect, requests_mock, time):
    """As `requests` takes them."""
    requests_mock.get(INFO, json=ACCOUNT)
    proxies = {"https": "http://proxy.test:3128"}
    DotdigitalHook(connect("dotdigital", {"proxies": proxies, "cert": [__file__, __file__]})).resolve_audience()
    assert proxies.items() <= requests_mock.last_request.proxies.items()
    assert (__file__, __file__) == requests_mock.last_request.cert


@pytest.mark.parametrize(
    "extra",
    [
        {"verify": "/no/such/bundle.pem"},
        {"cert": "/no/such/cert.pem"},
        {"proxies": "http://p"},
        {"proxies": {"https": "http://[fe80::1"}},
        {"proxies": {"https": "http://user:pass]word@p"}},
    ],
)
def test_transport_that_cannot_work_is_refused_in_words(connect, extra):
    """A path that is not there would come up as a riddle in the first call."""
    with pytest.raises(InvalidConnection, match=next(iter(extra))):
        _ = DotdigitalHook(connect("dotdigital", extra)).settings


def test_a_connection_of_another_vendor_is_refused(connect):
    """Credentials go to no vendor but their own."""
    with pytest.raises(InvalidConnection, match="of type 'dotdigital', but CampaignMonitorHook needs"):
        CampaignMonitorHook(connect("dotdigital")).resolve_audience()


@pytest.mark.parametrize("headers", [{"Retry-After": "7"}, {"X-RateLimit-Reset": "7"}])
def test_campaign_monitor_says_how_long_to_wait(cm, requests_mock, time, headers):
    """In seconds, by either header."""
    requests_mock.get(CLIENTS, [{"status_code": 429, "headers": headers}, {"json": [{"Name": "Shop"}]}])
    cm.resolve_audience()
    assert 7 == sum(time.slept)


@pytest.mark.parametrize("headers", [{"Retry-After": "7"}, {"X-RateLimit-Reset": str(int(NOW) + 7)}])
def test_dotdigital_says_how_long_to_wait(dd, requests_mock, time, headers):
    """In seconds by the one header, as an epoch by the other."""
    requests_mock.get(INFO, [{"status_code": 429, "headers": headers, "json": {}}, {"json": ACCOUNT}])
    dd.resolve_audience()
    assert 7 == sum(time.slept)


def test_a_stopped_session_wakes_up_and_makes_no_more_calls(dd, requests_mock, time, monkeypatch):
    """A kill while the vendor makes us wait ends the wait."""
    requests_mock.get(INFO, status_code=429, headers={"Retry-After": "50"}, json={})
    monkeypatch.setattr(type(dd), "sleep", staticmethod(lambda seconds: dd.request_stop() or time.sleep(seconds)))
    with pytest.raises(SegexportError, match="Airflow has stopped the task"):
        dd.resolve_audience()
    assert 1 == requests_mock.call_count
    assert sum(time.slept) <= 1


def test_httphooks_own_run_is_bounded_and_keeps_to_itself_what_the_vendor_says(dd, requests_mock, caplog):
    """`run` works as on HttpHook, with a timeout, without redirects, and without the vendor's words in the log."""
    requests_mock.post(f"{DD}/v2/contacts", status_code=400, text="ann@example.com is no good")
    with caplog.at_level(logging.DEBUG), pytest.raises(AirflowException) as raised:
        dd.run("v2/contacts", data="{}")
    assert "ann@" not in caplog.text + str(raised.value)
    assert "v2/contacts returned 400" in str(raised.value)
    assert 121 == requests_mock.last_request.timeout
    assert not requests_mock.last_request.allow_redirects
    requests_mock.post(f"{DD}/v2/contacts", json={"id": 1})
    assert {"id": 1} == dd.run("v2/contacts", data="{}").json()


@pytest.mark.parametrize("answer", [{"status_code": 404}, {"exc": requests.ConnectionError("/v2/ann@example.com")}])
def test_httphooks_own_run_shows_no_address_of_a_path(dd, requests_mock, caplog, answer):
    """Vendors have paths with addresses. The class of an exception of `requests` stays."""
    requests_mock.get(f"{DD}/v2/contacts/ann@example.com", **answer)
    dd.method = "GET"
    with caplog.at_level(logging.INFO), pytest.raises((AirflowException, requests.ConnectionError)) as raised:
        dd.run("v2/contacts/ann@example.com", {"email": "ann@example.com"})
    assert "ann@" not in caplog.text + str(raised.value)
    assert "/v2/contacts/***" in str(raised.value)
    assert "To fix:" in str(raised.value)


def test_every_secret_is_masked_as_it_is_and_as_it_travels(connect, masked):
    """Password, secret extras, a proxy's password, and the header that user and password become."""
    hook = CampaignMonitorHook(connect("campaign_monitor", EXTRAS))
    hook.get_conn()
    header = basic(KEY, "x").removeprefix("Basic ")
    assert {KEY, EXTRAS["refresh_token"], "proxy-password", header} <= set(masked)
    hook = DotdigitalHook(connect("dotdigital"))
    hook.get_conn()
    assert {PASSWORD, basic(USER, PASSWORD).removeprefix("Basic ")} <= set(masked)
