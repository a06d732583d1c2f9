"""A probe whose addresses are contacts already, whose vendor answers oddly or whose state folder fails."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from vendors.dotdigital_responses import TARGET as BOOK
from vendors.dotdigital_responses import reply as dotdigital_reply
from vendors.harness import VendorHarness
from vendors.probing import PATTERN, WITH_PROBE, Calls, Prober

from airflow_provider_segexport.errors import FatalError, InvalidArgument
from airflow_provider_segexport.model import Response
from airflow_provider_segexport.probe import planning
from airflow_provider_segexport.probe.leftovers import LeftoverFile
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.paths import ensure_folder
from airflow_provider_segexport.storage.sealing import write_json
from airflow_provider_segexport.vendors.constant_contact.probe_calls import is_number
from airflow_provider_segexport.vendors.dotdigital.probe_calls import ask_left_book
from airflow_provider_segexport.vendors.omnisend.probe_calls import undo_values
from airflow_provider_segexport.vendors.operations import run_operation
from airflow_provider_segexport.vendors.probe import UNCLEAR, Subject


@pytest.fixture(params=WITH_PROBE)
def vendor(request):
    return request.param


def emails_of(prober, question):
    context = prober.context()
    [planned] = planning.plan(prober.probe, [question], prober.emails, context.audience)
    return planned.emails


@pytest.mark.parametrize("question", ["tags_left_out", "email_case", "values"])
@pytest.mark.parametrize("held", [{"tags": ["vip"]}, {"fields": {"firstName": "Ada"}}])
def test_a_contact_of_omnisend_with_values_keeps_them(sim, tmp_path, question, held):
    """No upsert is sent for it, also if upserts clear tags; the other questions are asked."""
    prober = Prober(VendorHarness(sim, "omnisend", tmp_path))
    sim.configure({"omnisend": {"update_tags": "replace", "left_out_tags": "clear"}})
    [email] = emails_of(prober, question)
    sim.seed("omnisend", [{"email": email, **held}], "all-contacts")
    before = [member for member in sim.members("omnisend", "all-contacts")["members"] if member["email"] == email]
    assert len(before) == 1
    [result] = prober.ask(question).results
    assert (result.outcome, "give --address another pattern" in result.reason) == ("not asked", True)
    assert [
        member for member in sim.members("omnisend", "all-contacts")["members"] if member["email"] == email
    ] == before


@pytest.mark.parametrize("index", range(4))
def test_a_person_on_the_suppression_list_stays_there(sim, tmp_path, index):
    """The undo of `rejections` takes its addresses off that list, so none of them may be on it before."""
    prober = Prober(VendorHarness(sim, "campaign_monitor", tmp_path))
    email = emails_of(prober, "rejections")[index]
    sim.seed("campaign_monitor", [{"email": email, "status": "suppressed"}], prober.account.audience)
    before = sim.members("campaign_monitor", "suppression-list")["members"]
    assert [member["email"] for member in before] == [email]
    [result] = prober.ask("rejections").results
    assert (result.outcome, "suppression list" in result.reason) == ("not asked", True)
    assert sim.members("campaign_monitor", "suppression-list")["members"] == before


def test_a_response_of_another_form_does_not_end_the_probe(account):
    """The question fails without a text of the response, and its changes are undone."""
    prober = Prober(account)

    def broken(subject):
        raise IndexError(subject.emails[0])
        yield

    values = next(question for question in prober.probe.questions if question.name == "values")
    odd = replace(values, ask=broken)
    questions = tuple(odd if question is values else question for question in prober.probe.questions)
    prober.probe = replace(prober.probe, questions=questions)
    prober.vendor = replace(prober.vendor, probe=prober.probe)
    report = prober.ask("values")
    [result] = report.results
    assert (result.outcome, result.reason) == ("failed", "unexpected IndexError; the log has the traceback")
    assert PATTERN.partition("{")[0] not in json.dumps(report.as_json(0.0, simulated=True))
    prober.assert_clean()


def test_a_state_folder_that_fails_at_the_end_is_said(account, monkeypatch):
    """The answer is shown, and the probe says that the file of what is left is still there."""

    def fail(self):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(LeftoverFile, "remove", fail)
    prober = Prober(account)
    report = prober.ask("values")
    [result] = report.results
    assert (result.outcome, bool(report.not_undone), report.exit_code) == ("as assumed", True, 1)


def test_an_audience_whose_first_export_has_begun_is_refused(account):
    """The ledger has no version before that run has ended."""
    prober = Prober(account)
    context = prober.context()
    path = ensure_folder(Ledger.of(context.state_root, context.vendor.name, context.audience).path)
    state = AudienceState(owner="weekly", open_run_folder="/runs/x", is_planned=True)
    write_json(path / "audience_state.json", asdict(state))
    with pytest.raises(InvalidArgument, match="Exports have written"):
        planning.check_audience(context, prober.emails)


def test_a_contact_that_is_gone_when_its_properties_are_emptied(sim, tmp_path):
    """A colleague deletes the contact during the undo."""
    prober = Prober(VendorHarness(sim, "omnisend", tmp_path))
    context, email, reads = prober.context(), prober.emails[0], []
    contact = {"contacts": [{"id": "1", "identifiers": [{"type": "email", "id": email}]}]}

    def send(request):
        if request.method == "POST":
            return Response(202, {}, b'{"batchID": "b1"}')
        if "/batches/" in request.url:
            item = {"responseStatusCode": 200, "request": {}, "response": {}}
            done = {"status": "finished", "totalCount": 1, "finishedCount": 1, "errorsCount": 0}
            return Response(200, {}, json.dumps({**done, "items": [item]}).encode())
        reads.append(request)
        return Response(200, {}, json.dumps(contact if len(reads) == 1 else {"contacts": []}).encode())

    subject = Subject(context.audience, (email,), "0123456789ab")
    assert isinstance(run_operation(undo_values(subject), send=send, sleep=lambda _: None), tuple)
    assert len(reads) == 2


@pytest.mark.parametrize(("text", "same"), [("12.50", True), ("12,5", False), ("", False), ("12", False)])
def test_a_number_that_another_locale_has_written(text, same):
    assert is_number(text) is same


@pytest.mark.parametrize(
    "content", [b"", b"[" * 10_000, b"{}", b'{"format": 1, "checksum": "00000000"}', b"\x00\xff", None]
)
def test_a_damaged_file_of_what_is_left_names_the_way_out(sim, tmp_path, content):
    """`airflow segexport repair` sets aside files of exports, and this is none."""
    leftovers = Prober(VendorHarness(sim, "dotdigital", tmp_path)).context().leftovers
    ensure_folder(leftovers.path.parent)
    leftovers.path.write_bytes(content) if content is not None else leftovers.path.mkdir()
    with pytest.raises(FatalError, match="then delete the file") as raised:
        leftovers.read()
    assert "repair" not in str(raised.value)


@pytest.mark.parametrize(
    ("vendor", "question", "record"),
    [
        ("constant_contact", "no_list", {"contacts": [{"contact_id": "1", "list_memberships": ["another"]}]}),
        ("dotdigital", "no_book", {"contactId": 1, "lists": [{"id": 99, "status": "subscribed"}]}),
    ],
)
def test_a_contact_on_other_lists_answers_nothing_about_one_on_no_list(sim, tmp_path, vendor, question, record):
    """Its record has a list of memberships, which is not the empty one that exports rely on."""
    prober = Prober(VendorHarness(sim, vendor, tmp_path))
    send = prober.account.sender()
    email = emails_of(prober, question)[0]

    def answer(request):
        is_record = request.method == "GET" and (
            "list_memberships" in request.query.get("include", "") or "/contacts/v3/email/" in request.url
        )
        return Response(200, {}, json.dumps(record).encode()) if is_record else send(request)

    [result] = prober.ask(question, calls=Calls(answer)).results
    assert (result.outcome, "give --address another pattern" in result.reason) == ("not asked", True)
    assert email not in prober.account.active()


@pytest.mark.parametrize(
    ("before", "after", "answer"),
    [
        ([{"status": "Suppressed"}], [{"status": "Subscribed"}], "readds"),
        ([{"status": "suppressed"}], [{"status": "suppressed"}], "stays_out"),
        ([], [], "stays_out"),
        ([{"status": "Subscribed"}], [{"status": "Subscribed"}], UNCLEAR),
        (None, None, UNCLEAR),
        ([{"status": "suppressed"}], None, UNCLEAR),
    ],
)
def test_what_records_say_about_a_person_who_left_a_book(before, after, answer):
    """Statuses have any spelling, and a record without its books is no proof that an import leaves the person out."""
    records = [
        {"contactId": 5, **({} if entries is None else {"lists": [{"id": 42, **entry} for entry in entries]})}
        for entries in (before, after)
    ]

    def send(request):
        if request.method == "PUT":
            return dotdigital_reply({"importId": "d7de900d-d337-43f6-b1e1-c8ec73e1a434"}, 202)
        if "/import/" in request.url:
            created = [{"contactId": 5, "identifiers": {"email": "a@example.com"}}]
            return dotdigital_reply({"status": "Finished", "created": created})
        return dotdigital_reply(records.pop(0) if request.method == "GET" else {})

    subject = Subject(BOOK, ("a@example.com",), "0" * 12)
    assert run_operation(ask_left_book(subject), send, lambda _: None) == answer
