"""Consent with proof at Omnisend: a row with proof subscribes, any other row has no channels."""

from __future__ import annotations

import pyarrow as pa
import pytest
from vendors.proofs import (
    ANN,
    BOB,
    COMPLETE_PROOF,
    PARTS,
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

from airflow_provider_segexport.vendors.omnisend import imports, optouts


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
