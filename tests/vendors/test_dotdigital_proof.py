"""Consent with proof at dotdigital: a consent record goes along, over real sockets."""

from __future__ import annotations

from dataclasses import replace

from vendors.proofs import (
    ANN,
    BOB,
    CID,
    COMPLETE_PROOF,
    DAN,
    PARTS,
    TEXT,
    before,
    consent,
    counts,
    export,
    sent,
    unsubscribe,
    warnings,
)

from airflow_provider_segexport.vendors.item_template import Array, Const, JsonTemplate


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
