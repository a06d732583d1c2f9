"""The control API and the embedded simulator."""

from __future__ import annotations

import time

import pytest
import requests

from airflow_provider_segexport.simulator import ControlError, ManualClock, RunningClock, Simulator


def test_start_page_fills_a_connection_form(control):
    """GET /_sim returns base URL, credentials and audiences of every vendor."""
    vendors = control("GET", "").json()["vendors"]
    cm, dd = vendors["campaign_monitor"], vendors["dotdigital"]
    assert cm["base_url"].startswith("http://127.0.0.1:")
    assert len(cm["credentials"]["api_key"]) == 32
    assert {"id", "name", "custom_fields"} <= cm["audiences"][0].keys()
    assert dd["credentials"]["username"].endswith("@apiconnector.com")
    assert dd["custom_fields"]["FIRSTNAME"] == "String"


def test_described_credentials_open_the_door(cm, dd):
    """The data of GET /_sim works as it is."""
    assert cm("GET", f"/lists/{cm.list}.json").json()["Title"] == "Customers"
    assert dd("GET", f"/v2/address-books/{dd.book}").json()["name"] == "Customers"


def test_ids_follow_from_the_seed(sim):
    """The same seed gives the same ids, another seed gives others."""
    first = sim.describe()["vendors"]
    sim.reset(seed=1)
    assert sim.describe()["vendors"] == first
    sim.reset(seed=2)
    assert sim.describe()["vendors"] != first


def test_reset_forgets_people_faults_and_requests(sim, cm, control):
    """A reset goes back to the start."""
    cm.load("ada@example.com")
    sim.faults([{"status": 500}])
    assert control("POST", "/reset").status_code == 200
    assert sim.requests() == []
    assert cm.emails("active") == []


def test_reset_takes_settings_and_the_next_reset_drops_them(sim, control):
    """Settings of a reset hold until the next one."""
    control("POST", "/reset", {"vendors": {"campaign_monitor": {"max_concurrent": 3}}})
    settings = sim.describe()["vendors"]["campaign_monitor"]["settings"]
    assert settings["max_concurrent"] == 3
    control("POST", "/reset")
    settings = sim.describe()["vendors"]["campaign_monitor"]["settings"]
    assert settings["max_concurrent"] is None


def test_settings_change_while_people_stay(sim, cm, control):
    """POST /_sim/settings changes behaviour without touching what the account holds."""
    cm.load("ada@example.com")
    control("POST", "/settings", {"campaign_monitor": {"unknown_list_status": 400}})
    assert cm("GET", f"/lists/{'0' * 32}.json").status_code == 400
    assert cm.emails("active") == ["ada@example.com"]


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("POST", "/reset", {"vendors": {"mailgun": {}}}, "campaign_monitor, dotdigital"),
        ("POST", "/reset", {"vendors": {"dotdigital": {"speed": 1}}}, "no setting 'speed'"),
        ("POST", "/reset", {"vendors": {"dotdigital": {"duplicates": "both"}}}, "'first', 'none'"),
        ("POST", "/reset", {"colour": 1}, "has no option colour"),
        ("POST", "/clock", {"advance": -1}, "not a number of 0 or more"),
        ("POST", "/faults", [{"path": "(", "status": 500}], "is not a regular expression"),
        ("POST", "/faults", [{"nth": 2}], "a fault needs one of"),
        ("POST", "/faults", {"faults": 3}, "list of objects"),
        ("POST", "/dotdigital/shuffle", {}, "there are: change_address, script_jobs"),
        ("GET", "/dotdigital/audiences/1", None, "no list '1'; there are:"),
        ("GET", "/requests?after=x", None, "not a whole number"),
        ("POST", "/campaign_monitor/contacts", [{"email": "nobody"}], "not an address"),
        ("POST", "/campaign_monitor/contacts", [{"email": "a@example.com"}], "need an audience"),
    ],
)
def test_wrong_control_requests_say_what_would_be_right(control, method, path, body, message):
    """A control request that cannot be done answers 400 with a sentence."""
    reply = control(method, path, body)
    assert reply.status_code == 400
    assert message in reply.json()["error"]


def test_control_body_must_be_json(sim):
    """A control request whose body is not JSON answers 400."""
    reply = requests.post(f"{sim.url}/_sim/reset", data="{", timeout=10)
    assert reply.status_code == 400


def test_unknown_vendor_points_to_the_start_page(sim):
    """A path below no vendor answers 404 and says where the vendors are listed."""
    reply = requests.get(f"{sim.url}/mailgun/lists", timeout=10)
    assert reply.status_code == 404
    assert "GET /_sim" in reply.json()["error"]


def test_clock_advances_over_http(sim, cm, control):
    """POST /_sim/clock moves the time that the vendors see."""
    before = sim.clock.now()
    assert control("POST", "/clock", {"advance": 90}).json()["time"] == before + 90
    assert control("GET", "/clock").json()["time"] == before + 90
    assert cm("GET", "/systemdate.json").headers["date"].endswith("GMT")


def test_request_log_keeps_order_bodies_and_figures(sim, cm):
    """Everything that arrives is logged in order, with body, status and figures."""
    cm("GET", "/systemdate.json")
    cm.load("ada@example.com", "nobody")
    first, second = sim.requests()
    assert (first["number"], first["method"], first["status"]) == (1, "GET", 200)
    assert second["body"]["Subscribers"][0]["EmailAddress"] == "ada@example.com"
    assert second["status"] == 400
    assert second["facts"] == {"rows": 2, "new": 1, "failures": 1}
    assert [entry["number"] for entry in sim.requests(after=1)] == [2]
    assert sim.requests(vendor="dotdigital") == []


def test_request_log_over_http(cm, control):
    """GET /_sim/requests filters by number and vendor."""
    cm("GET", "/systemdate.json")
    shown = control("GET", "/requests?after=0&vendor=campaign_monitor").json()["requests"]
    assert [entry["path"] for entry in shown] == ["/api/v3.3/systemdate.json"]
    assert control("GET", "/requests?after=1").json() == {"requests": []}


def test_request_log_masks_credentials(sim, cm):
    """Neither keys nor refresh tokens can be read from the log."""
    oauth = cm.described["credentials"]["oauth"]
    form = {"grant_type": "refresh_token", "refresh_token": oauth["refresh_token"]}
    requests.post(cm.described["token_url"], data=form, timeout=10)
    cm("GET", "/systemdate.json")
    token, dated = sim.requests()
    assert token["body"] == {"grant_type": "refresh_token", "refresh_token": "***"}
    assert dated["headers"]["authorization"] == "Basic ***"


@pytest.mark.parametrize("header", ["X-API-Key", "X-Vendor-Key", "Api-Token", "X-Client-Secret", "Cookie"])
def test_request_log_masks_the_header_of_a_key_under_any_name(sim, cm, header):
    """Each vendor has a name of its own for it; other headers stay readable."""
    headers = {header: "s3cret", "Idempotency-Key": "batch-7", "X-Request-Id": "42"}
    requests.get(f"{cm.described['api_url']}systemdate.json", headers=headers, timeout=10)
    (entry,) = sim.requests()
    shown = entry["headers"]
    assert (shown[header.lower()], shown["idempotency-key"], shown["x-request-id"]) == ("***", "batch-7", "42")


def test_request_log_drops_bodies_beyond_its_budget(sim, cm):
    """Past the budget bodies are dropped; sizes and figures stay."""
    sim.reset(log_body_bytes=0)
    cm.load("ada@example.com")
    (entry,) = sim.requests()
    assert (entry["body"], entry["body_kept"], entry["facts"]["rows"]) == (None, False, 1)
    assert entry["bytes"] > 0


def test_unmatched_request_names_the_nearest_paths(sim, cm):
    """A path the vendor lacks answers the vendor's 404; the log says what is near and why not."""
    reply = cm("GET", f"/lists/{cm.list}/customfield.json")
    assert (reply.status_code, reply.json()["Code"]) == (404, 404)
    notes = sim.requests()[0]["notes"]
    assert any("/customfields.json: segment 5 is" in note for note in notes)
    cm("PATCH", f"/lists/{cm.list}.json")
    assert any("the method is GET, not PATCH" in note for note in sim.requests()[1]["notes"])


def test_audience_summary_counts_by_status(sim, cm, control):
    """A summary leaves the people out."""
    sim.seed("campaign_monitor", [{"email": "gone@example.com", "status": "unsubscribed"}], cm.list)
    cm.load("ada@example.com")
    shown = control("GET", f"/campaign_monitor/audiences/{cm.list}?summary=1").json()
    assert shown["counts"] == {"Active": 1, "Unsubscribed": 1}
    assert "members" not in shown


def test_audience_pages(sim, cm):
    """Members can be read in pieces."""
    cm.load("a@example.com", "b@example.com", "c@example.com")
    shown = sim.members("campaign_monitor", cm.list, offset=1, limit=1)
    assert [person["email"] for person in shown["members"]] == ["b@example.com"]


def test_seeding_over_http(control, cm):
    """POST /_sim/<vendor>/contacts puts people into an audience."""
    people = [{"email": "ada@example.com", "name": "Ada", "fields": {"City": "London"}}]
    reply = control("POST", "/campaign_monitor/contacts", {"audience": cm.list, "people": people})
    assert reply.json() == {"seeded": 1}
    assert cm.emails("active") == ["ada@example.com"]


def test_unknown_names_are_refused_in_process_too():
    """The embedded simulator refuses unknown settings before it starts."""
    with pytest.raises(ControlError, match="no vendor 'mailgun'"):
        Simulator(settings={"mailgun": {}})


def test_embedded_simulator_starts_and_stops_quickly():
    """A with block is served within 0.3 s, and its port is closed after it."""
    begun = time.perf_counter()
    with Simulator(settings={"campaign_monitor": {"max_concurrent": 2}}) as own:
        assert time.perf_counter() - begun < 0.3
        settings = requests.get(f"{own.url}/_sim", timeout=10).json()["vendors"]["campaign_monitor"]["settings"]
        assert settings["max_concurrent"] == 2
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{own.url}/_sim", timeout=10)


def test_latency_delays_every_vendor_call(sim, cm):
    """Latency is real time a call, and does not delay the control API."""
    sim.reset(latency=0.05)
    begun = time.perf_counter()
    cm("GET", "/systemdate.json")
    assert time.perf_counter() - begun >= 0.05


def test_running_clock_runs_at_its_speed():
    """A clock of speed 60 sees a minute in a second."""
    ticks = iter([100.0, 101.0, 101.0])
    clock = RunningClock(speed=60, ticks=lambda: next(ticks))
    start = clock._start
    assert clock.now() == start + 60
    clock.advance(5)
    assert clock.now() == start + 65


def test_manual_clock_stands_still():
    """A manual clock moves only on command."""
    clock = ManualClock(start=10)
    assert clock.now() == clock.now() == 10
    clock.advance(2.5)
    assert clock.now() == 12.5
