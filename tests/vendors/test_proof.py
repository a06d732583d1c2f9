"""Consent with proof, at each vendor that takes one: moments, rows, the ledger, arguments."""

from __future__ import annotations

import pyarrow as pa
import pytest
from vendors.harness import VendorHarness
from vendors.proofs import ANN, BOB, CID, PARTS, TEXT, before, consent, counts, export, sent, statuses, warnings
from vendors.test_report_schema import conforms

from airflow_provider_segexport.errors import InvalidArgument, InvalidSegment
from airflow_provider_segexport.export.config import Consent, ProofColumns

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
