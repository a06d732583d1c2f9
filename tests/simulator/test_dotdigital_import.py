"""dotdigital: imports as jobs, their states and reports, and what is refused."""

from __future__ import annotations

import pytest
from simulator.dotdigital_people import codes, member

JSON = {"Content-Type": "application/json; charset=utf-8"}
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


def test_import_is_a_job(sim, dd):
    """Accepted with 202, then NotFinished without a report, then Finished with one."""
    accepted = dd.start("ada@example.com", "bob@example.com")
    assert accepted.status_code == 202
    import_id = accepted.json()["importId"]
    assert dd.status(import_id) == {"importId": import_id, "status": "NotFinished"}
    assert sim.members("dotdigital", str(dd.book))["counts"] == {}
    sim.clock.advance(2)
    report = dd.status(import_id)
    assert (report["status"], report["summary"]["newContacts"]) == ("Finished", 2)
    assert [item["identifiers"] for item in report["created"]] == [
        {"email": "ada@example.com"},
        {"email": "bob@example.com"},
    ]
    assert sim.members("dotdigital", str(dd.book))["counts"] == {"subscribed": 2}


def test_job_takes_seconds_per_row(sim, dd):
    """Processing time grows with the rows, on the simulator's clock."""
    sim.configure({"dotdigital": {"job_seconds": 10, "job_seconds_per_row": 5}})
    import_id = dd.start("ada@example.com", "bob@example.com").json()["importId"]
    sim.clock.advance(19.9)
    assert dd.status(import_id)["status"] == "NotFinished"
    sim.clock.advance(0.1)
    assert dd.status(import_id)["status"] == "Finished"
    assert member(sim, "ada@example.com")["created"] == sim.clock.now()


def test_contact_ids_are_reported_and_kept(dd):
    """Created and updated contacts come with their id, the same each time."""
    created = dd.load("ada@example.com")["created"]
    again = dd.load("ADA@example.com")
    assert again["updated"] == created
    assert again["summary"]["updatedContacts"] == 1


def test_scripted_states(sim, dd):
    """A scripted job moves one state at each poll, whatever the clock says."""
    sim.act("dotdigital", "script_jobs", {"scripts": [["NotFinished", "NotFinished", "Finished"]]})
    import_id = dd.start("ada@example.com").json()["importId"]
    sim.clock.advance(3600)
    seen = [dd.status(import_id)["status"] for _ in range(4)]
    assert seen == ["NotFinished", "NotFinished", "Finished", "Finished"]
    assert dd.load("bob@example.com")["status"] == "Finished"


def test_script_that_ends_while_running(sim, dd):
    """A script without a final state lets the job finish after its last word."""
    sim.configure({"dotdigital": {"job_states": ["NotFinished"]}})
    import_id = dd.start("ada@example.com").json()["importId"]
    assert [dd.status(import_id)["status"] for _ in range(2)] == ["NotFinished", "Finished"]


@pytest.mark.parametrize("state", ["RejectedByWatchdog", "Failed", "ExceedsAllowedContactLimit"])
def test_failed_jobs_import_no_person(sim, dd, state):
    """Each bad final state comes without a report and without effect."""
    sim.configure({"dotdigital": {"job_states": [state]}})
    report = dd.load("ada@example.com")
    assert (report["status"], report.keys()) == (state, {"importId", "status"})
    assert sim.members("dotdigital", "all-contacts")["counts"] == {}


def test_contact_limit(sim, dd):
    """An import that would exceed the contract ends in ExceedsAllowedContactLimit."""
    sim.configure({"dotdigital": {"contact_limit": 2}})
    assert dd.load("a@example.com", "b@example.com")["status"] == "Finished"
    assert dd.load("a@example.com", "nobody")["status"] == "Finished"
    assert dd.load("a@example.com", "c@example.com")["status"] == "ExceedsAllowedContactLimit"


def test_failures_are_named_by_row(sim, dd):
    """Bad rows are reported one by one, the others are imported."""
    sim.seed("dotdigital", [{"email": "gs@example.com", "status": "globallySuppressed"}])
    sim.act("dotdigital", "suppress_domain", {"domain": "blocked.example"})
    report = dd.load(
        "ada@example.com",
        "ADA@example.com",
        "bob@emailsim@io.com",
        "gs@example.com",
        "x@blocked.example",
        dd.contact("list@example.com", lists=[1]),
    )
    assert codes(report) == {
        "ADA@example.com": "duplicateIdentifier",
        "bob@emailsim@io.com": "invalidEmail",
        "gs@example.com": "globallySuppressed",
        "x@blocked.example": "suppressedByDomain",
        "list@example.com": "invalidAddressBookIds",
    }
    assert report["summary"] == {
        "newContacts": 1,
        "updatedContacts": 0,
        "globallySuppressed": 1,
        "invalidEntries": 3,
        "duplicateIdentifiers": 1,
    }
    facts = sim.requests(vendor="dotdigital")[0]["facts"]
    assert facts == {"rows": 6, "created": 1, "failures": 5}


def test_failure_codes_as_the_vendors_table_has_them(sim, dd):
    """The documentation's table and its examples differ; both can be had."""
    sim.configure({"dotdigital": {"failure_codes": "table"}})
    report = dd.load("ada@example.com", "ada@example.com", "nobody")
    assert [item["failures"][0]["failureCode"] for item in report["failures"]] == ["Duplicate", "InvalidEmail"]


def test_duplicates_may_all_fail(sim, dd):
    """Whether the first copy is kept is undocumented; it can be set that none is."""
    sim.configure({"dotdigital": {"duplicates": "none"}})
    report = dd.load("ada@example.com", "bob@example.com", "Ada@example.com")
    assert report["summary"]["duplicateIdentifiers"] == 2
    assert [item["identifiers"]["email"] for item in report["created"]] == ["bob@example.com"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"matchIdentifier": "email"}, "The Identifiers field is required"),
        ({"identifiers": {"email": "a@example.com"}}, "The MatchIdentifier field is required"),
        ("a@example.com", "A contact must be an object"),
        ({"matchIdentifier": "email", "identifiers": {}, "dataFields": []}, "DataFields"),
        ({"matchIdentifier": "email", "identifiers": {}, "lists": []}, "1 to 100 list ids"),
        ({"matchIdentifier": "email", "identifiers": {}, "lists": list(range(101))}, "1 to 100 list ids"),
        ({"matchIdentifier": "email", "identifiers": {}, "lists": ["1"]}, "must be an integer"),
        ({"matchIdentifier": "email", "identifiers": {}, "channelProperties": 1}, "object of objects"),
        (
            {"matchIdentifier": "email", "identifiers": {}, "channelProperties": {"email": {"status": "yes"}}},
            "invalid for 'status'",
        ),
    ],
)
def test_one_row_against_the_schema_fails_the_whole_call(sim, dd, row, message):
    """The call answers 400 contacts:badRequest, and no person is imported."""
    body = {"contacts": [dd.contact("ada@example.com"), row]}
    reply = dd("PUT", "/contacts/v3/import", body)
    assert (reply.status_code, reply.json()["errorCode"]) == (400, "contacts:badRequest")
    assert message in reply.json()["description"]
    assert reply.json()["details"][0]["item"] == "contacts[1]"
    sim.clock.advance(10)
    assert sim.members("dotdigital", "all-contacts")["counts"] == {}


@pytest.mark.parametrize("body", [{}, {"contacts": []}, {"contacts": [1], "mergeOption": "append"}])
def test_body_without_contacts(dd, body):
    """No contacts, or an unknown merge option, is 400 contacts:badRequest."""
    reply = dd("PUT", "/contacts/v3/import", body)
    assert (reply.status_code, reply.json()["errorCode"]) == (400, "contacts:badRequest")


def test_body_that_is_no_json(dd):
    """A body that cannot be parsed is 400 contacts:badJson; NaN is not JSON, nor is another encoding than UTF-8."""
    not_a_number = '{"contacts": [{"matchIdentifier": "email", "dataFields": {"ORDERS": NaN}}]}'
    for data in ("{", "[]", not_a_number, "{}".encode("utf-16")):
        reply = dd("PUT", "/contacts/v3/import", data=data, headers=JSON)
        assert (reply.status_code, reply.json()["errorCode"]) == (400, "contacts:badJson")


def test_body_of_another_media_type(dd):
    """A body is read only if the Content-Type header says that it is JSON."""
    assert dd("PUT", "/contacts/v3/import", data="{}", check=False).status_code == 415
    ids = f"/v2/address-books/{dd.book}/contacts/delete"
    assert dd("POST", ids, data="[1]", headers={"Content-Type": "text/plain"}, check=False).status_code == 415


def test_body_beyond_the_cap(sim, dd):
    """Above the byte limit the request is refused whole."""
    sim.configure({"dotdigital": {"max_import_bytes": 500}})
    assert dd.start("ada@example.com").status_code == 202
    assert dd("PUT", "/contacts/v3/import", {"contacts": ["x" * 500]}, check=False).status_code == 413


def test_polls_of_unknown_imports(dd):
    """A strange id is 400, an unknown one 404."""
    strange = dd("GET", "/contacts/v3/import/123646")
    assert (strange.status_code, strange.json()["errorCode"]) == (400, "contacts:invalidId")
    unknown = dd("GET", f"/contacts/v3/import/{UNKNOWN_ID}")
    assert (unknown.status_code, unknown.json()["errorCode"]) == (404, "contacts:importNotFound")


@pytest.mark.parametrize(("setting", "failures"), [("ignore", 0), ("fail_record", 1)])
def test_unknown_data_fields(sim, dd, setting, failures):
    """Undocumented at the vendor: ignored by default, or failing the contact."""
    sim.configure({"dotdigital": {"unknown_field": setting}})
    report = dd.load(dd.contact("ada@example.com", dataFields={"SHOE": 42}), "bob@example.com")
    assert len(report["failures"]) == failures
    assert sim.requests()[0]["notes"] == ["unknown data field 'SHOE' in 1 contact"]


def test_unknown_data_fields_may_fail_the_request(sim, dd):
    """The third possibility: the call itself is refused."""
    sim.configure({"dotdigital": {"unknown_field": "fail_request"}})
    reply = dd.start(dd.contact("ada@example.com", dataFields={"SHOE": 42}))
    assert reply.status_code == 400
    assert "SHOE" in reply.json()["description"]


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [
        ("FIRSTNAME", "x" * 255, True),
        ("FIRSTNAME", "x" * 256, False),
        ("FIRSTNAME", ["x"], False),
        ("ORDERS", 3, True),
        ("ORDERS", "3.5", True),
        ("ORDERS", "many", False),
        ("ORDERS", True, False),
        ("ORDERS", "nan", False),
        ("ORDERS", "1_000", False),
        ("VIP", True, True),
        ("VIP", "no", True),
        ("VIP", "perhaps", False),
        ("BIRTHDAY", "1980-12-31", True),
        ("BIRTHDAY", "1980-12-31T00:00:00Z", True),
        ("BIRTHDAY", "31/12/1980", False),
    ],
)
def test_typed_data_fields(dd, name, value, good):
    """A value that is not of its field's type fails its contact."""
    report = dd.load(dd.contact("ada@example.com", dataFields={name: value}))
    assert [item["failures"][0]["failureCode"] for item in report["failures"]] == (
        [] if good else ["apiSchemaViolation"]
    )
