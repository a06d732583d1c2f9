"""Scripted faults: which request they strike, and what the client sees."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests

PING = "/systemdate.json"


def statuses(client, number, path=PING):
    return [client("GET", path).status_code for _ in range(number)]


def test_fault_strikes_the_nth_request_and_count_after_it(sim, cm):
    """The script chooses requests by nth and count; the others are answered as always."""
    sim.faults([{"nth": 2, "count": 2, "status": 503}])
    assert statuses(cm, 5) == [200, 503, 503, 200, 200]


def test_lines_make_a_script(sim, cm):
    """Each line counts every request it fits: 429, then 200, then 500."""
    sim.faults([{"status": 429, "headers": {"Retry-After": "2"}}, {"nth": 3, "status": 500}])
    first = cm("GET", PING)
    assert (first.status_code, first.headers["Retry-After"]) == (429, "2")
    assert statuses(cm, 3) == [200, 500, 200]


def test_fault_matches_by_vendor_method_and_path(sim, cm, dd):
    """Requests that do not fit are neither counted nor struck."""
    sim.faults([{"vendor": "campaign_monitor", "method": "GET", "path": r"/lists/\w+\.json$", "status": 500}])
    assert dd("GET", "/v2/server-time").status_code == 200
    assert cm("GET", PING).status_code == 200
    assert cm.load("ada@example.com").status_code == 201
    assert cm("GET", f"/lists/{cm.list}.json").status_code == 500


def test_fault_matches_a_row_in_the_body(sim, cm):
    """`contains` finds an address in a body and in a query."""
    sim.faults([{"contains": "bad+row@example.com", "count": 0, "status": 500}])
    assert cm.load("good@example.com").status_code == 201
    assert cm.load("good@example.com", "bad+row@example.com").status_code == 500
    reply = cm("GET", f"/subscribers/{cm.list}.json", params={"email": "bad+row@example.com"})
    assert reply.status_code == 500


def test_own_body_and_headers(sim, cm):
    """A fault may bring its own body, as JSON or text."""
    sim.faults([{"status": 500, "body": {"Code": 500}}, {"nth": 2, "status": 404, "body": "gone"}])
    assert cm("GET", PING).json() == {"Code": 500}
    assert cm("GET", PING).text == "gone"


@pytest.mark.parametrize("loss", [{"drop": True}, {"garble": "html"}, {"garble": "truncated"}])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_row_that_is_always_refused_takes_no_effect_before_a_lost_response(sim, cm, loss, is_first):
    """The vendor rejects the same bytes each time, whether its response arrives or not."""
    refusal = {"contains": "poison@example.com", "count": 0, "refuse": True}
    lost = {"method": "POST", "when": "after", **loss}
    sim.faults([refusal, lost] if is_first else [lost, refusal])
    with suppress(requests.ConnectionError):
        cm.load("ada@example.com", "poison@example.com")
    assert [] == sim.members("campaign_monitor", cm.list)["members"]
    sim.clear_faults()
    cm.load("ada@example.com")
    assert ["ada@example.com"] == [each["email"] for each in sim.members("campaign_monitor", cm.list)["members"]]


def test_poison_row_refuses_the_whole_batch(sim, cm, dd):
    """With refuse, every batch that holds the row gets the vendor's whole-request error."""
    sim.faults([{"contains": "poison@example.com", "count": 0, "refuse": True}])
    refused = cm.load("ada@example.com", "poison@example.com")
    assert (refused.status_code, refused.json()["Code"]) == (400, 400)
    assert cm.load("ada@example.com").status_code == 201
    reply = dd.start("poison@example.com")
    assert (reply.status_code, reply.json()["errorCode"]) == (400, "contacts:badRequest")
    assert cm.emails("active") == ["ada@example.com"]


def test_error_before_the_effect_changes_nothing(sim, cm):
    """By default a fault replaces the vendor's response: nothing happened."""
    sim.faults([{"method": "POST", "status": 502}])
    assert cm.load("ada@example.com").status_code == 502
    assert cm.emails("active") == []


def test_error_after_the_effect_hides_a_success(sim, cm):
    """With when=after the vendor did it, and the client gets another response."""
    sim.faults([{"method": "POST", "status": 502, "when": "after"}])
    assert cm.load("ada@example.com").status_code == 502
    assert cm.emails("active") == ["ada@example.com"]


@pytest.mark.parametrize(("when", "held"), [("before", []), ("after", ["ada@example.com"])])
def test_dropped_connection(sim, cm, when, held):
    """A dropped connection gives the client no response, before or after the effect."""
    sim.faults([{"method": "POST", "drop": True, "when": when}])
    with pytest.raises(requests.ConnectionError):
        cm.load("ada@example.com")
    assert sim.requests()[0]["outcome"] == "dropped"
    assert sim.requests()[0]["status"] is None
    assert cm.emails("active") == held


def test_truncated_json(sim, cm):
    """A truncated body is no JSON, though the status is good and the effect took place."""
    sim.faults([{"method": "POST", "garble": "truncated", "when": "after"}])
    reply = cm.load("ada@example.com")
    assert reply.status_code == 201
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.text)
    assert cm.emails("active") == ["ada@example.com"]


def test_html_page(sim, cm):
    """A garbled answer may be a gateway's page, with the status one chooses."""
    sim.faults([{"garble": "html"}, {"nth": 2, "garble": "html", "status": 200}])
    first, second = cm("GET", PING), cm("GET", PING)
    assert (first.status_code, first.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert second.status_code == 200
    assert second.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("when", ["before", "after"])
def test_delay(sim, cm, when):
    """A delay lets the answer come late; it is real time, for clients with real timeouts."""
    sim.faults([{"delay": 0.05, "when": when}])
    begun = time.perf_counter()
    assert cm("GET", PING).status_code == 200
    assert time.perf_counter() - begun >= 0.05


def test_delay_beyond_the_clients_timeout(sim, cm):
    """A client that gives up finds its import done: the outcome was unknown to it."""
    sim.faults([{"method": "POST", "delay": 0.3, "when": "after"}])
    path = f"/subscribers/{cm.list}/import.json"
    with pytest.raises(requests.Timeout):
        cm("POST", path, {"Subscribers": [{"EmailAddress": "ada@example.com"}]}, timeout=0.1)
    assert cm.emails("active") == ["ada@example.com"]


def test_what_a_reset_finds_waiting_takes_no_effect(sim, cm):
    """A delayed call of an earlier test changes nothing in the accounts of the next one; its connection is cut."""
    sim.faults([{"method": "POST", "delay": 0.3}])
    path, body = f"/subscribers/{cm.list}/import.json", {"Subscribers": [{"EmailAddress": "ada@example.com"}]}
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(cm, "POST", path, body)
        while not sim.requests():
            assert not late.done()
            time.sleep(0.01)
        sim.reset()
        with pytest.raises(requests.ConnectionError):
            late.result()
    assert cm.emails("active") == []


def test_script_shows_how_often_each_line_fitted(sim, cm, control):
    """GET /_sim/faults shows progress; DELETE clears."""
    control("POST", "/faults", {"faults": [{"nth": 5, "status": 500}]})
    statuses(cm, 2)
    assert control("GET", "/faults").json() == {"faults": [{"nth": 5, "status": 500, "fitted": 2}]}
    assert control("DELETE", "/faults").json() == {"faults": []}
    assert sim.requests()[0]["fault"] is False
