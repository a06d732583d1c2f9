"""Consent with proof: subscribed people at Omnisend, and the data sent to dotdigital, over real sockets."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from vendors.harness import VendorHarness
from vendors.proofs import (
    COMPLETE_PROOF,
    PARTS,
    TEXT,
    before,
    consent,
    counts,
    export,
    identifier,
    now,
    sent,
    statuses,
    unsubscribe,
    warnings,
)
from vendors.test_report_schema import conforms

from airflow_provider_segexport.errors import InvalidArgument, InvalidSegment
from airflow_provider_segexport.export.config import Consent, ProofColumns
from airflow_provider_segexport.vendors.item_template import Array, Const, JsonTemplate
from airflow_provider_segexport.vendors.omnisend import imports, optouts

ANN, BOB, CID, DAN = (f"{name}@example.com" for name in ("ann", "bob", "cid", "dan"))


class TestOmnisend:
    """A row with proof subscribes, as of the consent; any other row has no channels."""

    def test_the_wire(self, omnisend):
        """Status, moment and the documented consent object; a row without a moment says nothing about a status."""
        omnisend.sim.clock.advance(60)
        report = export(omnisend, {ANN: before(days=30), BOB: None}, consent=consent(omnisend, columns=PARTS))
        assert identifier(omnisend, ANN) == {
            "type": "email",
            "id": ANN,
            "sendWelcomeMessage": False,
            "channels": {"email": {"status": "subscribed", "statusChangedAt": "2025-12-02T00:00:00Z"}},
            "consent": {
                "createdAt": "2025-12-02T00:00:00Z",
                "source": COMPLETE_PROOF["url"],
                "ip": COMPLETE_PROOF["ip"],
                "userAgent": COMPLETE_PROOF["agent"],
            },
        }
        assert identifier(omnisend, BOB) == {"type": "email", "id": BOB, "sendWelcomeMessage": False}
        assert statuses(omnisend) == {ANN: "subscribed", BOB: "nonSubscribed"}
        assert counts(report) == {"with_proof": 1, "no_moment": 1}
        assert warnings(omnisend) == {}
        (consent_record,) = omnisend.members()[ANN]["consents"]
        assert consent_record["ip"] == COMPLETE_PROOF["ip"]

    def test_a_moment_in_the_form_that_the_export_names(self, omnisend):
        """By `date_formats`; a moment in any other form is no proof."""
        omnisend.sim.clock.advance(60)
        moments = {ANN: "02.12.2025 08:30", BOB: "2025-12-02T08:30:00Z"}
        formats = {"consented_at": "%d.%m.%Y %H:%M"}
        report = export(omnisend, moments, consent=consent(omnisend), date_formats=formats)
        assert identifier(omnisend, ANN)["channels"]["email"]["statusChangedAt"] == "2025-12-02T08:30:00Z"
        assert "channels" not in identifier(omnisend, BOB)
        assert counts(report) == {"with_proof": 1, "unreadable_moment": 1}

    def test_parts_that_a_row_lacks_are_left_out(self, omnisend):
        """The moment alone is a proof; an address that is none is left out and counted."""
        columns = {"url": [None, " "], "ip": ["not an address", None], "agent": [None, "x\ty"]}
        report = export(
            omnisend,
            {ANN: before(days=1, hours=1), BOB: before(days=1, hours=1)},
            columns=columns,
            consent=consent(omnisend, columns=PARTS),
        )
        at = "2025-12-30T23:00:00Z"
        assert identifier(omnisend, ANN)["consent"] == {"createdAt": at}
        assert identifier(omnisend, BOB)["consent"] == {"createdAt": at, "userAgent": "x y"}
        assert report["warnings"]["consent_ip_column"] == {"left_out_invalid_value": 1}

    def test_who_opted_out_later_is_sent_without_channels(self, omnisend):
        """An opt-out before the consent is over; one after it counts, and is counted and named."""
        unsubscribe(omnisend, ANN, BOB)
        omnisend.sim.clock.advance(3600)
        report = export(omnisend, {ANN: before(minutes=5), BOB: now(omnisend)})
        assert counts(report) == {"with_proof": 1, "opted_out_later": 1}
        assert warnings(omnisend) == {ANN: "opted_out_later"}
        assert "channels" not in identifier(omnisend, ANN)
        assert statuses(omnisend) == {ANN: "unsubscribed", BOB: "subscribed"}
        assert report["counts"]["delivered"] == 2
        assert report["warnings"]["consented_at_column"] == {"opted_out_later": 1}

    def test_at_the_very_moment_the_opt_out_counts(self, omnisend):
        """Seconds are all that is compared at the vendor, so the tie goes to the opt-out."""
        omnisend.sim.clock.advance(100.25)
        unsubscribe(omnisend, ANN, BOB)
        moment = now(omnisend)
        omnisend.sim.clock.advance(100)
        report = export(omnisend, {ANN: moment, BOB: moment.replace(microsecond=0)})
        assert counts(report) == {"opted_out_later": 2}

    def test_a_date_counts_from_its_begin_in_any_zone(self, omnisend):
        """On the 2nd in Kiritimati it is still the 1st in UTC, so an opt-out on the 1st may be later than the 2nd."""
        omnisend.sim.clock.advance(11 * 3600)
        unsubscribe(omnisend, ANN)  # 11:00 on the 1st
        omnisend.sim.clock.advance(86_400 * 2)
        for run, day in (("text", ["2026-01-02"]), ("date", pa.array([19724 + 731], pa.date32()))):
            report = export(omnisend, {ANN: None}, run, columns={"consented_at": day})
            assert counts(report) == {"opted_out_later": 1}, run
        report = export(omnisend, {ANN: None}, "later", columns={"consented_at": ["2026-01-02T00:00:01Z"]})
        assert counts(report) == {"with_proof": 1}

    def test_an_opt_out_of_unknown_date_counts(self, omnisend, monkeypatch):
        """Where the vendor does not say when, it may have been later."""
        unsubscribe(omnisend, ANN)
        omnisend.sim.clock.advance(60)
        monkeypatch.setattr(optouts, "unsubscribed_at", lambda _: "")
        assert counts(export(omnisend, {ANN: now(omnisend)})) == {"opted_out_later": 1}

    def test_an_opt_out_while_the_run_sends(self, omnisend):
        """By the vendor's documented rule the latest date wins, whatever the plan says."""
        sender = omnisend.sender()

        def send(request):
            if request.url.endswith("/batches") and request.method == "POST":
                unsubscribe(omnisend, ANN)
            return sender(request)

        send.close, send.traffic = sender.close, sender.traffic
        omnisend.sim.clock.advance(60)
        export(omnisend, {ANN: before(days=1, hours=1)}, environment=omnisend.environment(send=send))
        assert identifier(omnisend, ANN)["channels"]["email"]["status"] == "subscribed"
        assert statuses(omnisend) == {ANN: "unsubscribed"}

    def test_the_unsubscribed_are_read_only_as_far_back_as_the_oldest_consent(self, omnisend):
        """And not at all if no row has a proof."""
        export(omnisend, {ANN: None, BOB: None})
        assert not [call for call in omnisend.sim.requests() if call["query"].get("status") == "unsubscribed"]
        export(omnisend, {ANN: before(days=1)}, "second")
        assert [call for call in omnisend.sim.requests() if call["query"].get("status") == "unsubscribed"]

    @pytest.mark.parametrize("date_of_no_status", ["created", "none"])
    def test_a_contact_that_was_there_before(self, omnisend, date_of_no_status):
        """Whether a status that was never set has a date is documented nowhere: an older consent may not reach it."""
        omnisend.sim.configure({"omnisend": {"date_of_no_status": date_of_no_status}})
        omnisend.sim.seed("omnisend", [{"email": ANN, "status": "nonSubscribed"}], omnisend.audience)
        omnisend.sim.clock.advance(60)
        export(omnisend, {ANN: before(days=1)})
        assert statuses(omnisend) == {ANN: {"created": "nonSubscribed", "none": "subscribed"}[date_of_no_status]}

    def test_no_mail_is_set_off(self, omnisend):
        """Not even where the welcome mail is of those who subscribe."""
        omnisend.sim.configure({"omnisend": {"welcome_for": "subscribed"}})
        export(omnisend, {ANN: before(days=1)})
        assert omnisend.facts("mails") == 0

    def test_a_phone_is_not_subscribed(self, omnisend):
        """The proof is of mail."""
        export(omnisend, {ANN: before(days=1)}, columns={"phone": ["+4917012345"]}, field_mapping={"phone": "phone"})
        (_, phone) = sent(omnisend)[ANN]["identifiers"]
        assert phone == {"type": "phone", "id": "+4917012345", "sendWelcomeMessage": False}

    @pytest.mark.parametrize("field", ["identifiers.0.channels.email.statusChangedAt", "identifiers[0].consent.ip"])
    def test_a_refused_proof_is_not_a_refused_address(self, field):
        """The address is right, so it must not be reported as invalid."""
        rejection = imports.to_rejection(0, 400, {"errors": [{"field": field, "message": "no"}]})
        assert rejection.reason == "invalid_value"
        assert imports.to_rejection(0, 400, {"errors": [{"field": "identifiers.0.id"}]}).reason == "invalid_email"


class TestDotdigital:
    """A record goes along; no status does."""

    def test_the_wire(self, dotdigital):
        """All five members; the status of an existing contact stays."""
        unsubscribe(dotdigital, BOB)
        report = export(dotdigital, {ANN: before(days=1), BOB: before(days=1), CID: None})
        items = sent(dotdigital)
        assert items[ANN]["consentRecords"] == [
            {
                "text": TEXT,
                "dateTimeConsented": "2025-12-31T00:00:00Z",
                "url": COMPLETE_PROOF["url"],
                "ipAddress": COMPLETE_PROOF["ip"],
                "userAgent": COMPLETE_PROOF["agent"],
            }
        ]
        assert "consentRecords" not in items[CID]
        assert not any("channelProperties" in item for item in items.values())
        members = dotdigital.members()
        assert members[BOB]["status"] == "unsubscribed"
        assert members[ANN]["consent_records"][0]["text"] == TEXT
        assert counts(report) == {"with_proof": 2, "no_moment": 1}

    def test_a_text_for_each_person(self, dotdigital):
        """Which may have changed over the years."""
        proof_consent = consent(dotdigital, columns={**PARTS, "text": "wording"}, text="")
        report = export(
            dotdigital,
            {ANN: before(days=1), BOB: before(days=1)},
            columns={"wording": ["Yes 2024", None]},
            consent=proof_consent,
        )
        assert sent(dotdigital)[ANN]["consentRecords"][0]["text"] == "Yes 2024"
        assert counts(report) == {"with_proof": 1, "incomplete_proof": 1}

    def test_a_row_that_lacks_a_part(self, dotdigital):
        """The vendor would not apply the record, so the row goes without it and is named."""
        ip, url, agent = COMPLETE_PROOF["ip"], COMPLETE_PROOF["url"], COMPLETE_PROOF["agent"]
        columns = {
            "ip": ["203.0.113.256", None, ip, ip],
            "url": [url, url, "the shop in Leeds", url],
            "agent": [agent, agent, agent, "  "],
        }
        report = export(dotdigital, dict.fromkeys((ANN, BOB, CID, DAN), before(days=1)), columns=columns)
        assert not any("consentRecords" in item for item in sent(dotdigital).values())
        assert report["counts"]["delivered"] == 4
        assert warnings(dotdigital) == dict.fromkeys((ANN, BOB, CID, DAN), "incomplete_proof")

    def test_records_that_the_vendor_does_not_apply(self, dotdigital, published):
        """The contact is there, so the row is delivered, and the report says what is missing."""
        proof_consent = consent(dotdigital)
        dotdigital.vendor = without_text(dotdigital.vendor)
        report = export(dotdigital, {ANN: before(days=1), BOB: None}, consent=proof_consent)
        assert report["counts"]["delivered"] == 2
        assert report["counts"]["rejected"] == 0
        assert report["warnings"]["consented_at_column"] == {"proof_not_applied": 1}
        assert warnings(dotdigital) == {ANN: "proof_not_applied"}
        assert set(dotdigital.active()) == {ANN, BOB}
        assert (
            export(dotdigital, {ANN: before(days=1), BOB: None}, "again", consent=proof_consent)["counts"]["unchanged"]
            == 2
        )
        published.clear()  # a record without a text is against the specification, on purpose

    def test_no_opt_out_is_read(self, dotdigital):
        """Nothing that is sent could change a status."""
        export(dotdigital, {ANN: before(days=1)})
        assert not [call for call in dotdigital.sim.requests() if "since" in call["path"]]


def without_text(vendor):
    """The vendor, with records whose text is empty."""

    def template(matched, audience):
        item = vendor.item_template(matched, audience)
        (record,) = item.members["consentRecords"].elements
        record = JsonTemplate({**record.members, "text": Const("")})
        return JsonTemplate({**item.members, "consentRecords": Array((record,))})

    return replace(vendor, item_template=template)


TAKES = ("omnisend", "dotdigital")


@pytest.fixture(params=TAKES)
def taking(sim, tmp_path, request):
    """An account at each vendor that takes a proof."""
    return VendorHarness(sim, request.param, tmp_path)


def has_proof(account, email):
    item = sent(account)[email]
    return "channels" in item["identifiers"][0] if account.name == "omnisend" else "consentRecords" in item


class TestMoments:
    """A moment that does not count withholds nothing, subscribes no one, and is counted and named."""

    MOMENTS = (
        ("2026-01-01T00:00:00Z", "with_proof"),
        ("2026-01-01T00:00:01Z", "moment_in_future"),
        ("2025-10-26T02:30:00", "with_proof"),
        ("1970-01-01", "moment_before_1995"),
        ("1735689600000", "unreadable_moment"),
        (None, "no_moment"),
    )

    def test_as_text(self, taking):
        """ISO 8601, with a zone or in UTC."""
        moments = {f"p{number}@example.com": given for number, (given, _) in enumerate(self.MOMENTS)}
        report = export(taking, moments)
        states = {f"p{number}@example.com": state for number, (_, state) in enumerate(self.MOMENTS)}
        assert report["counts"]["delivered"] == len(moments)
        assert {email for email in moments if has_proof(taking, email)} == {"p0@example.com", "p2@example.com"}
        assert warnings(taking) == {
            email: state for email, state in states.items() if state not in {"with_proof", "no_moment"}
        }
        assert sum(report["consent_proof"].values()) == len(moments)
        assert "consent_proof" in conforms(report)

    def test_a_type_that_holds_no_moment(self, taking):
        """Refused before anything is sent: a number may count seconds or milliseconds."""
        with pytest.raises(
            InvalidSegment, match=r"`consented_at_column`\) is int64, and should be timestamp or date or"
        ):
            export(taking, {ANN: 1_700_000_000})
        assert taking.upserts() == []

    def test_the_same_moment_in_another_zone_is_the_same_proof(self, taking):
        """So a lake that changes its zone, its unit or the type does not send every row again."""
        moment = before(days=3, hours=1, minutes=2)
        export(taking, {ANN: moment})
        for number, column in enumerate(
            (pa.array([moment], pa.timestamp("ns", "Asia/Tokyo")), pa.array(["2025-12-28T23:58:00+01:00"]))
        ):
            report = export(taking, {ANN: None}, f"run-{number}", columns={"consented_at": column})
            assert report["counts"]["unchanged"] == 1, column.type


class TestRows:
    """The person that a proof belongs to."""

    def test_a_yes_without_a_moment_and_a_moment_without_a_yes(self, taking):
        """The column says no: withheld, whatever the moment. It says yes: sent, without a proof if there is none."""
        report = export(
            taking, {ANN: None, BOB: before(days=1), CID: before(days=1)}, columns={"agreed": [True, False, None]}
        )
        assert report["counts"]["withheld"] == 2
        assert set(sent(taking)) == {ANN}
        assert counts(report) == {"no_moment": 1}

    def test_an_address_in_several_rows(self, taking):
        """The proof is of the row that is sent, the first one; a no in any row withholds all of them."""
        columns = {
            "email": [ANN, "ANN@example.com", BOB, BOB],
            "first": ["A", "B", "C", "D"],
            "agreed": [True, True, True, False],
            "consented_at": [None, before(days=1), before(days=1), before(days=1)],
        }
        report = export(
            taking,
            dict.fromkeys("abcd"),
            columns=columns,
        )
        assert set(sent(taking)) == {ANN}
        assert not has_proof(taking, ANN)
        assert counts(report) == {"no_moment": 1}
        assert report["reasons"]["withheld"] == {"duplicate": 1, "no_consent": 2}

    def test_odd_names_of_columns_and_a_column_that_is_mapped_too(self, taking):
        """Quotes are letters of a name, and a column can feed a field and a proof."""
        odd = "at\"; drop table 'x'"
        proof_consent = Consent(
            "agreed", proof=ProofColumns(odd, consent(taking).proof.columns, consent(taking).proof.text)
        )
        custom = "WHEN" if taking.name == "dotdigital" else "when"
        report = export(
            taking,
            {ANN: None},
            columns={odd: pa.array([before(days=1)], pa.timestamp("us", "UTC"))},
            consent=proof_consent,
            custom_fields={custom: odd, f"{custom}2": "agreed"},
            create_custom_fields=True,
        )
        assert counts(report) == {"with_proof": 1}
        assert has_proof(taking, ANN)


class TestLedger:
    """Rows that are sent again."""

    def test_a_renewed_consent_is_sent_again(self, taking):
        """And an unchanged one is not."""
        export(taking, {ANN: before(days=9), BOB: before(days=9)})
        report = export(taking, {ANN: before(days=2), BOB: before(days=9)}, "second")
        assert (report["counts"]["delivered"], report["counts"]["unchanged"]) == (1, 1)
        assert set(items_of(taking.upserts()[-1])) == {ANN}

    def test_without_a_proof_a_row_is_what_it_is_without_subscribe(self, taking):
        """Turning it on sends only the people who have a proof."""
        export(taking, {ANN: before(days=9), BOB: None}, "off", consent=Consent("agreed"))
        report = export(taking, {ANN: before(days=9), BOB: None}, "on")
        assert (report["counts"]["delivered"], report["counts"]["unchanged"]) == (1, 1)

    def test_turning_it_off_changes_no_status(self, taking):
        """The people who had a proof are sent once more, without it; they stay what they are at the vendor."""
        export(taking, {ANN: before(days=9), BOB: None}, "on")
        was = statuses(taking)
        report = export(taking, {ANN: before(days=9), BOB: None}, "off", consent=Consent("agreed"))
        assert (report["counts"]["delivered"], report["counts"]["unchanged"]) == (1, 1)
        assert not has_proof(taking, ANN)
        assert "consent_proof" not in report
        assert statuses(taking) == was
        assert (
            export(taking, {ANN: before(days=9), BOB: None}, "off2", consent=Consent("agreed"))["counts"]["unchanged"]
            == 2
        )

    def test_nothing_else_changes_on_the_wire(self, taking):
        """Without `subscribe` each byte of an item is that of an export that knows nothing of proofs."""
        bodies, sender = [], taking.sender()

        def send(request):
            bodies.append(bytes(request.body or b""))
            return sender(request)

        send.close, send.traffic = sender.close, sender.traffic
        environment = taking.environment(send=send)
        export(taking, {ANN: before(days=9)}, consent=Consent("agreed"), field_mapping={}, environment=environment)
        item = taking.row.item.format(ANN, taking.audience).encode()
        assert [body for body in bodies if b"[" + item + b"]" in body]


def items_of(call):
    items = call["body"].get("items") or call["body"].get("contacts")
    return [
        item["identifiers"][0]["id"] if isinstance(item["identifiers"], list) else item["identifiers"]["email"]
        for item in items
    ]


class TestArguments:
    """The vendor's accepted values, checked before a file is opened."""

    @pytest.mark.parametrize("name", ["campaign_monitor", "constant_contact"])
    def test_a_vendor_that_takes_no_proof(self, sim, tmp_path, name):
        """An error: a reader of the DAG would believe that only people with proof are subscribed."""
        account = VendorHarness(sim, name, tmp_path)
        with pytest.raises(InvalidArgument, match="take no proof of consent, so it would have no effect"):
            export(account, {ANN: before(days=1)})
        assert sim.requests() == []

    def test_a_text_that_the_vendor_does_not_store(self, omnisend):
        with pytest.raises(InvalidArgument, match="`consent_text` is given, and Omnisend has no field for it"):
            export(omnisend, {ANN: before(days=1)}, consent=consent(omnisend, text=TEXT))

    def test_parts_that_the_vendor_requires(self, dotdigital):
        proof_consent = consent(dotdigital, columns={"source": "url"}, text="")
        with pytest.raises(
            InvalidArgument, match="`consent_text`, `consent_ip_column`, `consent_user_agent_column` is missing"
        ):
            export(dotdigital, {ANN: before(days=1)}, consent=proof_consent)

    def test_a_column_that_is_not_there(self, taking):
        with pytest.raises(InvalidSegment, match="nowhere"):
            export(taking, {ANN: before(days=1)}, consent=Consent("agreed", proof=_moved(taking, "nowhere")))
        assert taking.upserts() == []

    def test_no_consent_column(self, taking):
        with pytest.raises(InvalidArgument, match="`consent_column` is missing"):
            export(taking, {ANN: before(days=1)}, consent=Consent(None, proof=_moved(taking, "consented_at")))

    def test_a_part_of_another_type(self, taking):
        with pytest.raises(InvalidSegment, match=r"`consent_ip_column`\) is int64, and should be text"):
            export(taking, {ANN: before(days=1)}, columns={"ip": [1]}, consent=consent(taking, columns=PARTS))


def _moved(account, column):
    proof = consent(account).proof
    return ProofColumns(column, proof.columns, proof.text)
