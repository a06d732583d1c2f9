"""Constant Contact: three kinds of 429, the states of activities, and the swagger itself."""

from __future__ import annotations

import jsonschema
import pytest
from simulator.constant_contact_client import SWAGGER, check_exchange, swagger

from airflow_provider_segexport.simulator import ControlError, ManualClock
from airflow_provider_segexport.simulator.simulation import Simulation

ROUTED = {
    "/account/summary": ["get"],
    "/account/user/privileges": ["get"],
    "/activities": ["get"],
    "/activities/{activity_id}": ["get"],
    "/activities/contact_exports": ["post"],
    "/contact_exports/{file_export_id}": ["get"],
    "/activities/contact_delete": ["post"],
    "/activities/contacts_file_import": ["post"],
    "/activities/contacts_json_import": ["post"],
    "/activities/remove_list_memberships": ["post"],
    "/activities/add_list_memberships": ["post"],
    "/activities/list_delete": ["post"],
    "/contacts/{contact_id}": ["get", "put", "delete"],
    "/contacts": ["get", "post"],
    "/contacts/sign_up_form": ["post"],
    "/contacts/counts": ["get"],
    "/contacts/resubscribe/{contact_id}": ["put"],
    "/contact_custom_fields": ["get", "post"],
    "/contact_custom_fields/{custom_field_id}": ["delete"],
    "/contact_lists/{list_id}": ["get", "put", "delete"],
    "/contact_lists": ["get", "post"],
}


def test_four_calls_a_second(sim, cc):
    """The fifth call within a second is throttled, over all tokens of a key, with no header that says so."""
    cc.sim.clock.advance(2)
    first = [cc("GET", "/account/summary", wait=0).status_code for _ in range(3)]
    cc.token = cc.act("authorize")["access_token"]
    assert [*first, cc("GET", "/account/summary", wait=0).status_code] == [200] * 4
    throttled = cc("GET", "/account/summary", wait=0)
    assert (throttled.status_code, throttled.json()["error_key"]) == (429, "throttled")
    assert not {name for name in throttled.headers if "limit" in name.lower() or "retry" in name.lower()}
    cc.token = cc.keys["public"]["access_token"]
    assert cc("GET", "/account/summary", wait=0).status_code == 200


def test_ten_thousand_calls_a_day(sim, cc):
    """When a key's day is used up, also by others, every call is quota_exceeded until midnight UTC."""
    assert cc("GET", "/account/summary").status_code == 200
    assert cc.act("spend", calls=9_998) == 1
    assert cc("GET", "/account/summary").status_code == 200
    exceeded = cc("GET", "/account/summary")
    assert (exceeded.status_code, exceeded.json()["error_key"]) == (429, "quota_exceeded")
    sim.clock.advance(86_400 - sim.clock.now() % 86_400 - 2)
    assert cc("GET", "/account/summary").status_code == 429
    assert cc("GET", "/account/summary").status_code == 200


def test_a_full_queue(sim, cc):
    """When 1,000 activities wait (here 2), the next is refused in words, and reading still works."""
    sim.configure({"constant_contact": {"max_queued_activities": 2, "job_seconds": 60}})
    assert [cc.start(f"p{number}@example.com").status_code for number in range(2)] == [201, 201]
    full = cc.start("p3@example.com")
    assert full.status_code == 429
    assert full.json()[0]["error_message"] == "You exceeded 1,000 queued activities for this user account."
    assert cc("GET", "/activities").status_code == 200
    sim.clock.advance(60)
    assert cc.start("p3@example.com").status_code == 201


def test_limits_can_be_switched_off(sim, cc):
    """Without limits any number of calls passes in one moment."""
    sim.configure({"constant_contact": {"calls_per_second": None, "calls_per_day": None}})
    assert {cc("GET", "/account/summary", wait=0).status_code for _ in range(10)} == {200}


def test_the_states_of_an_activity(sim, cc):
    """An activity is initialized, then processing with a share done, then completed with its times."""
    sim.configure({"constant_contact": {"start_seconds": 10, "job_seconds": 100}})
    activity_id = cc.start("ada@example.com").json()["activity_id"]
    seen = []
    for wait in (1, 10, 60, 60):
        shown = cc("GET", f"/activities/{activity_id}", wait=wait).json()
        seen.append((shown["state"], shown["percent_done"], "started_at" in shown, "completed_at" in shown))
    assert seen == [
        ("initialized", 0, False, False),
        ("processing", 9, True, False),
        ("processing", 64, True, False),
        ("completed", 100, True, True),
    ]


@pytest.mark.parametrize("end", ["failed", "cancelled", "timed_out", "paused_by_moon"])
def test_scripted_ends(cc, end):
    """A script moves an activity one state a poll; a bad or unknown end has no effect."""
    cc.act("script_jobs", scripts=[["initialized", "processing", "processing", end]])
    activity_id = cc.start("ada@example.com").json()["activity_id"]
    seen = [cc("GET", f"/activities/{activity_id}").json()["state"] for _ in range(5)]
    assert seen == ["initialized", "processing", "processing", end, end]
    assert cc.people() == {}


def test_a_script_may_end_well(cc):
    """A script that ends in completed applies the rows."""
    cc.act("script_jobs", scripts=[["processing", "completed"]])
    activity_id = cc.start("ada@example.com").json()["activity_id"]
    assert [cc("GET", f"/activities/{activity_id}").json()["state"] for _ in range(2)] == ["processing", "completed"]
    assert cc.people().keys() == {"ada@example.com"}


def test_one_call_polls_many_activities(sim, cc):
    """The list shows all activities, newest first, in pages, and filtered by state."""
    made = [cc.start(f"p{number}@example.com", wait=0.3).json()["activity_id"] for number in range(5)]
    sim.clock.advance(10)
    waiting = cc.start("late@example.com").json()["activity_id"]
    first = cc("GET", "/activities?limit=4", wait=0.25).json()
    assert [shown["activity_id"] for shown in first["activities"]] == [waiting, *made[:1:-1]][:4]
    rest = cc("GET", first["_links"]["next"]["href"].removeprefix("/v3"), wait=0).json()
    assert [shown["activity_id"] for shown in rest["activities"]] == made[1::-1]
    done = cc("GET", "/activities?state=completed&limit=500", wait=0).json()
    assert [shown["activity_id"] for shown in done["activities"]] == made[::-1]
    assert cc("GET", "/activities?state=initialized", wait=1).status_code == 400


def test_activities_are_forgotten_after_ten_days(sim, cc):
    """An activity older than ten days is in no list and answers 404."""
    activity_id = cc.start("ada@example.com").json()["activity_id"]
    sim.clock.advance(11 * 86_400)
    cc.token = cc.act("authorize")["access_token"]
    assert cc("GET", f"/activities/{activity_id}").status_code == 404
    assert cc("GET", "/activities").json()["activities"] == []


def test_the_control_api_says_what_is_right(cc):
    """Wrong control calls are refused with a sentence."""
    for action, details in (("spend", {}), ("authorize", {"key": "x"}), ("unsubscribe", {"email": "x"})):
        with pytest.raises(ControlError):
            cc.act(action, **details)
    with pytest.raises(ControlError, match="left_list"):
        cc.seed({"email": "ada@example.com", "status": "sleepy"})
    with pytest.raises(ControlError, match="all-contacts"):
        cc.people("nonsense")


def test_seeded_people(cc):
    """People can be seeded in every state, also as having left one list."""
    cc.seed(
        {"email": "a@example.com", "status": "bounced"},
        {"email": "b@example.com", "status": "left_list"},
        audience=cc.list,
    )
    assert {email: person["status"] for email, person in cc.people().items()} == {"a@example.com": "temp_hold"}
    everybody = cc.people("all-contacts")
    assert everybody["b@example.com"]["left"] == (cc.list,)


def test_the_same_seed_gives_the_same_account():
    """Credentials, lists and ids follow from the seed."""

    def account(seed):
        made = Simulation(seed=seed, clock=ManualClock())
        made.seed("constant_contact", [{"email": "ada@example.com"}])
        return made.describe()["vendors"]["constant_contact"], made.members("constant_contact", "all-contacts")

    assert account(1) == account(1)
    assert account(1) != account(2)


@pytest.mark.skipif(not SWAGGER.is_file(), reason="the published swagger is not beside this checkout")
def test_the_routes_are_the_swaggers(sim, cc):
    """Every route that is simulated is one of the swagger, and the other way round for those listed."""
    table = sim._vendors["constant_contact"].table
    for path, methods in ROUTED.items():
        for method in methods:
            assert method in swagger()["paths"][path]
            assert table.find(method.upper(), "/v3" + path.replace("{", "").replace("}", "")), (method, path)
    simulated = [route for route in table.routes if route.template.startswith("/v3")]
    assert len(simulated) == sum(map(len, ROUTED.values()))


@pytest.mark.skipif(not SWAGGER.is_file(), reason="the published swagger is not beside this checkout")
def test_a_breach_of_the_swagger_is_caught(cc):
    """A reply with a property that the swagger does not know fails the check that all these tests use."""
    assert cc.check is check_exchange
    reply = cc("GET", "/account/summary")
    reply._content = reply.content.replace(b"organization_name", b"organisation_name")
    with pytest.raises(jsonschema.ValidationError):
        check_exchange("GET", "/account/summary", None, reply)
