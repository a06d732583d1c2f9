"""dotdigital: credentials, region, call limits, active imports."""

from __future__ import annotations

import pytest
import requests

LOW = "/contacts/v3"
HIGH = "/v2/server-time"


def property_of(dd, name):
    shown = dd("GET", "/v2/account-info").json()["properties"]
    return next(item["value"] for item in shown if item["name"] == name)


@pytest.mark.parametrize("auth", [None, ("apiuser-x@apiconnector.com", "wrong")])
def test_wrong_api_user(dd, auth):
    """No or wrong credentials answer 401 with the vendor's words."""
    for path in (HIGH, LOW):
        reply = requests.get(dd.base + path, auth=auth, timeout=10)
        assert reply.status_code == 401
        assert reply.json() == {"message": "Authorization has been denied for this request."}


def test_nonsense_credentials(dd):
    """A header that is no basic authentication answers 401."""
    reply = requests.get(dd.base + HIGH, headers={"Authorization": "Basic \xff"}, timeout=10)
    assert reply.status_code == 401


def test_account_info_names_the_region(sim, dd):
    """ApiEndpoint is the simulator itself, with a slash at its end, or what is set."""
    assert property_of(dd, "ApiEndpoint") == dd.base + "/"
    sim.configure({"dotdigital": {"api_endpoint": "https://r3-api.dotdigital.com/"}})
    assert property_of(dd, "ApiEndpoint") == "https://r3-api.dotdigital.com/"


def test_wrong_region(sim, dd):
    """In a foreign region only account-info answers; the rest is 403."""
    sim.configure({"dotdigital": {"wrong_region": True}})
    refused = dd("GET", HIGH)
    assert (refused.status_code, refused.json()) == (403, {"message": "Forbidden: Access is denied"})
    assert dd("GET", "/v2/account-info").status_code == 200


def test_unknown_paths(dd):
    """Each API version has its own 404."""
    assert "message" in dd("GET", "/v2/lists").json()
    assert dd("PUT", "/contacts/v3", check=False).json()["errorCode"] == "contacts:notFound"


def test_tiered_limit_answers_429_until_the_minute_ends(sim, dd):
    """Headers tell limit, rest, scope, and the epoch at which the minute ends."""
    sim.configure({"dotdigital": {"low_per_minute": 2}})
    first, second, third = (dd("GET", LOW) for _ in range(3))
    assert [reply.status_code for reply in (first, second, third)] == [200, 200, 429]
    assert (first.headers["X-RateLimit-Limit"], first.headers["X-RateLimit-Remaining"]) == ("2", "1")
    assert third.headers["X-RateLimit-Remaining"] == "0"
    assert third.headers["X-RateLimit-Scope"] == "lowCallRate"
    assert "Retry-After" not in third.headers
    assert third.json()["errorCode"] == "contacts:tooManyRequests"
    reset = int(third.headers["X-RateLimit-Reset"])
    assert 0 < reset - sim.clock.now() <= 60
    sim.clock.advance(reset - sim.clock.now())
    assert dd("GET", LOW).status_code == 200


def test_tiers_are_counted_apart_and_polling_is_free(sim, dd):
    """An exhausted tier leaves the others open; polls carry no limit."""
    import_id = dd.start("ada@example.com").json()["importId"]
    sim.configure({"dotdigital": {"low_per_minute": 1, "high_per_minute": 1}})
    assert [dd("GET", HIGH).status_code for _ in range(2)] == [200, 429]
    assert "message" in dd("GET", HIGH).json()
    assert dd("GET", LOW).status_code == 200
    polls = [dd("GET", f"/contacts/v3/import/{import_id}") for _ in range(5)]
    assert {poll.status_code for poll in polls} == {200}
    assert "X-RateLimit-Limit" not in polls[0].headers


def test_flat_limit_answers_400(sim, dd):
    """The deprecated scheme answers 400 without headers, polls count, and the hour rolls."""
    sim.configure({"dotdigital": {"rate_scheme": "flat", "flat_per_hour": 3}})
    import_id = dd.start("ada@example.com").json()["importId"]
    sim.clock.advance(1800)
    dd.status(import_id)
    assert dd("GET", HIGH).status_code == 200
    capped = dd("GET", HIGH)
    assert capped.status_code == 400
    assert capped.json()["message"].endswith("ERROR_APIUSAGE_EXCEEDED")
    assert "X-RateLimit-Limit" not in capped.headers
    sim.clock.advance(1800)
    assert [dd("GET", HIGH).status_code for _ in range(2)] == [200, 400]


def test_account_info_counts_calls(dd):
    """The response states the calls of the last hour and the remaining ones."""
    dd("GET", HIGH)
    assert property_of(dd, "ApiCallsInLastHour") == "2"
    assert property_of(dd, "ApiCallsRemaining") == "1997"


def test_limits_can_be_off(sim, dd):
    """Without a scheme nothing is counted against the client."""
    sim.configure({"dotdigital": {"rate_scheme": "off", "low_per_minute": 1}})
    assert [dd("GET", LOW).status_code for _ in range(3)] == [200, 200, 200]


def test_active_imports_are_limited(sim, dd):
    """The 26th unfinished import answers 429 of its own kind, until one finishes."""
    sim.configure({"dotdigital": {"job_seconds": 60}})
    accepted = [dd.start(f"p{number}@example.com").status_code for number in range(25)]
    assert accepted == [202] * 25
    refused = dd.start("late@example.com")
    assert refused.status_code == 429
    assert refused.json()["errorCode"] == "contacts:tooManyActiveImports"
    assert int(refused.headers["X-RateLimit-Remaining"]) > 0
    sim.clock.advance(61)
    assert dd.start("late@example.com").status_code == 202
