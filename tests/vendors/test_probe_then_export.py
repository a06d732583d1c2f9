"""Exports after a probe, for each answer that exports do not assume: no person is harmed, and the report is true."""

from __future__ import annotations

import pytest
from vendors.harness import VendorHarness, people
from vendors.probing import ANSWERS, CASES, WITH_PROBE, Prober, audience_for, question_of, relaxed

from airflow_provider_segexport.errors import FatalError, PermissionDenied
from airflow_provider_segexport.storage.ledger_schema import MEMBER

SENT_NOTHING = {
    ("campaign_monitor", "rejections", "added"): (FatalError, "adds people again who have opted out"),
    ("omnisend", "batch_permission", "more"): (PermissionDenied, "may not read the results of batches"),
    ("omnisend", "new_status", "subscribed"): (FatalError, "makes every new contact"),
}
"""Answers after which no export of the account sends anything."""

REMOVED_NOTHING = {("constant_contact", "no_list", "gone"), ("dotdigital", "no_book", "gone")}
"""Answers after which a mirror sends nothing, because a removal would delete contacts."""

DIFFERENT = [case for case in CASES if case[2] != question_of(*case[:2]).assumed]
"""All answers but those that exports assume anyway."""

OPTED_OUT, OTHERS, LEFT = "p1@example.com", "p4@example.com", "p5@example.com"
QUIET = {"unsubscribed", "deleted", "suppressed", "bounced", "unconfirmed", "pending_confirmation", "pendingoptin"}
VIP = "Lapsed"


class Account(VendorHarness):
    """An account about which nothing is known but what a probe finds out, with people of others."""

    learnt = ""

    def __init__(self, sim, vendor, home) -> None:
        super().__init__(sim, vendor, home)
        self.others = next(str(each["id"]) for each in self.described["audiences"] if each["name"] == VIP)
        self.main = self.audience

    def fill(self) -> None:
        """A person who has opted out, and a contact that others have in another audience of theirs."""
        self.sim.seed(self.name, [{"email": OPTED_OUT, "status": self.row.opted_out}], self.main)
        self.sim.seed(self.name, [{"email": OTHERS}], self.others)

    def is_mailable(self, email: str) -> bool:
        member = self.members().get(email)
        return member is not None and str(member["status"]).lower() not in {*QUIET, self.row.opted_out}

    def of_others(self) -> set[str]:
        """The people in the other audience."""
        return {str(member["email"]) for member in self.sim.members(self.name, self.others)["members"]}

    def changing_calls(self) -> list[str]:
        calls = self.sim.requests(vendor=self.name)
        reads = ("GET", "OPTIONS")
        return [f"{call['method']} {call['path']}" for call in calls if call["method"] not in reads]

    def assert_unharmed(self) -> None:
        assert not self.is_mailable(OPTED_OUT)
        assert OTHERS in self.of_others()

    def assert_true(self, report) -> None:
        """The counts add up, and the members in the ledger without a rejection are members."""
        counts = report["counts"]
        assert counts["profiles"] == sum(number for name, number in counts.items() if name != "profiles")
        delivered = {email for email, row in self.ledger().items() if row["state"] == MEMBER and not row["reason"]}
        if self.name in {"campaign_monitor", "constant_contact"}:  # the others update the contact, and no status
            assert OPTED_OUT not in delivered
        assert delivered <= {email for email, member in self.members().items() if member["status"] != "Deleted"}


@pytest.fixture
def account(sim, tmp_path, vendor, name, answer):
    account = Account(sim, vendor, tmp_path)
    relaxed(account, ANSWERS[vendor][name][answer])
    prober = Prober(account, audience_for(vendor, name) or ("" if vendor == "omnisend" else "Lapsed"))
    if vendor == "omnisend":
        account.audience = "Probe"
    [result] = prober.ask(name, keep_going=True).results
    question = result.question
    assert (result.answer, result.recorded) == (answer, bool(question.fact))
    account.audience = account.main
    account.fill()
    return account


@pytest.mark.parametrize(("vendor", "name", "answer"), DIFFERENT, ids=str)
def test_exports_after_an_answer(account, vendor, name, answer):
    """Two days: people come, change and leave. A person who has opted out is never subscribed again."""
    before = len(account.changing_calls())
    blocked = SENT_NOTHING.get((vendor, name, answer))
    if blocked or (vendor, name, answer) in REMOVED_NOTHING:
        error, text = blocked or (FatalError, "deletes a contact that a removal takes out")
        for dry_run in (True, False):
            with pytest.raises(error, match=text):
                account.day(1, people(6), name=f"dry-{dry_run}", dry_run=dry_run)
        assert len(account.changing_calls()) == before
        account.assert_unharmed()
        if blocked:
            return
    mode = "mirror" if (vendor, name, answer) not in REMOVED_NOTHING else "upsert"
    account.assert_true(account.day(1, people(6), mode=mode))
    account.assert_unharmed()
    account.assert_true(account.day(2, people(4), mode=mode, first={"p2@example.com": "New"}))
    account.assert_unharmed()
    held = {email for email, member in account.members().items() if member["status"] != "Deleted"}
    assert (LEFT in held) is (mode == "upsert")
    assert {"p0@example.com", "p2@example.com", "p3@example.com"} <= held


@pytest.mark.parametrize(("name", "answer"), [("email_case", "different")])
@pytest.mark.parametrize("vendor", WITH_PROBE)
def test_a_person_who_has_opted_out_under_an_address_in_upper_case(account, answer):
    """The vendor would make a new contact of the address in lower case, and that one would get mail."""
    account.sim.seed(account.name, [{"email": "P2@EXAMPLE.COM", "status": account.row.opted_out}], account.main)
    for dry_run in (True, False):
        report = account.day(1, people(6), name=f"dry-{dry_run}", dry_run=dry_run)
        assert report["reasons"]["withheld"] == {"unsubscribed": 2}, answer
    account.assert_true(report)
    assert not account.is_mailable("p2@example.com")
    account.assert_true(account.day(2, people(6), first={"p2@example.com": "New", "p3@example.com": "New"}))
    assert not account.is_mailable("p2@example.com")
    account.assert_unharmed()
