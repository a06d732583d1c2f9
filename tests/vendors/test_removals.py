"""How people are taken out of an audience, at every vendor, held against its simulator."""

from __future__ import annotations

import pytest
from vendors.harness import people
from vendors.removals import RemovalRunner

from airflow_provider_segexport.errors import BatchRejected, SegexportError, VendorUnavailable
from airflow_provider_segexport.model import GONE, Reason

DAMAGE = (
    "unsubscribed",
    "suppressed",
    "account_deleted",
    "contacts_deleted",
    "lists_deleted",
    "memberships_deleted",
    "permission_changed",
    "status_sent",
    "mails",
)
OUTSIDE = {"Deleted"}
"""A vendor's reasons for people that it remembers as removed."""


def inside(account):
    """Members of the audience, as the simulator lists them."""
    return sorted(email for email, member in account.members().items() if member["status"] not in OUTSIDE)


def fault(account, **line):
    """Script a fault of the call that takes people out."""
    method, path = account.row.removal
    account.sim.faults([{"vendor": account.name, "method": method, "path": f"{path}$", **line}])


def removals(account):
    """The calls that took people out, as the simulator has them in its log."""
    method, path = account.row.removal
    calls = account.sim.requests(vendor=account.name)
    return [call for call in calls if call["method"] == method and path.lstrip("/").split("/")[-1][:9] in call["path"]]


@pytest.fixture
def full(account):
    """An audience of five."""
    account.sim.seed(account.name, [{"email": email} for email in people(5)], account.audience)
    account.members()
    return account


def test_leavers_leave_and_no_other_person(full):
    """They are out of the audience, and neither unsubscribed nor deleted nor written to."""
    outcomes = RemovalRunner(full).leave(["p1@example.com", "p3@example.com"])
    assert outcomes == {"p1@example.com": None, "p3@example.com": None}
    assert inside(full) == ["p0@example.com", "p2@example.com", "p4@example.com"]
    assert {what: full.facts(what) for what in DAMAGE} == dict.fromkeys(DAMAGE, 0)


def test_an_address_with_signs_of_its_own(account):
    """A plus, a quote and a slash stand in addresses, and mean something else in those of the web."""
    odd = ["a+b@example.com", "o'neill@example.com", "a/b@example.com", "a%b@example.com", "a&b=c@example.com"]
    others = ["b@example.com", "ab@example.com"]
    account.sim.seed(account.name, [{"email": email} for email in [*odd, *others]], account.audience)
    account.members()
    assert RemovalRunner(account).leave(odd) == dict.fromkeys(odd)
    assert inside(account) == sorted(others)


def test_somebody_who_is_not_there(full):
    """Nothing is done to them, and the others leave."""
    outcomes = RemovalRunner(full).leave(["p1@example.com", "nobody@example.com"])
    assert outcomes["p1@example.com"] is None
    assert outcomes.get("nobody@example.com", Reason.NOT_IN_AUDIENCE) in {None, Reason.NOT_IN_AUDIENCE}
    assert inside(full) == [email for email in people(5) if email != "p1@example.com"]


def test_who_has_opted_out_stays_opted_out(full):
    """Taking them out makes nothing of an opt-out, whatever the vendor keeps of it."""
    email = "gone@example.com"
    full.sim.seed(full.name, [{"email": email, "status": full.row.opted_out}], full.audience)
    outcomes = RemovalRunner(full).leave([email, "p1@example.com"])
    if full.row.kept_on_removal:
        assert outcomes[email] is full.row.kept_on_removal[1]
        assert outcomes[email] in GONE
        assert str(full.members()[email]["status"]).lower() == full.row.opted_out
    assert outcomes["p1@example.com"] is None
    assert {what: full.facts(what) for what in DAMAGE} == dict.fromkeys(DAMAGE, 0)


def test_out_a_second_time(full):
    """A run that was killed may take the same people out again: that is no error, and changes nothing."""
    first, second = RemovalRunner(full), RemovalRunner(full)
    batches = [second.batch([email]) for email in people(2)]
    first.leave(people(2))
    full.members()
    for batch in batches:
        second.settle(batch)
    assert set(second.outcomes.values()) <= {None, *GONE}
    assert inside(full) == people(5)[2:]


@pytest.mark.parametrize(
    "line",
    [
        {"drop": True},
        {"drop": True, "when": "after"},
        {"garble": "html"},
        {"status": 500},
    ],
)
def test_a_call_that_breaks_off(full, line):
    """Before its effect or after it: it goes again, and the people count as taken out.

    After the first call has removed a person, a vendor that answers row by row may call that person absent. The ledger
    then forgets the person. If imports bring people back, it would remember a person who left, and send nothing more.
    """
    fault(full, **line)
    accepted: set[Reason | None] = {None}
    if line.get("when") == "after" and not full.vendor.import_readds_leavers:
        accepted.add(Reason.NOT_IN_AUDIENCE)
    assert RemovalRunner(full).leave(["p1@example.com"])["p1@example.com"] in accepted
    assert inside(full) == [email for email in people(5) if email != "p1@example.com"]


def test_every_way_to_say_later(full):
    """The wait is the one that the vendor asks for, as with an upsert."""
    for number, quota in enumerate(full.row.quota):
        full.sim.clear_faults()
        full.slept.clear()
        fault(full, **quota.fault)
        assert RemovalRunner(full).leave([f"p{number}@example.com"]) == {f"p{number}@example.com": None}
        assert len(full.slept) == 1


def test_a_refused_batch(full):
    """Its error says so, so that the batch is halved until the bad row is alone."""
    leaving = RemovalRunner(full)
    batch = leaving.batch(people(5)[: leaving.removal.limits.batch_rows])
    fault(full, refuse=True)
    with pytest.raises(BatchRejected) as caught:
        full.call(leaving.removal.remove(leaving.target, batch))
    assert caught.value.code
    assert inside(full) == people(5)


@pytest.mark.parametrize("status", [403, 418, 503])
def test_no_error_names_a_person(full, status):
    """An unexpected response stops the run, whichever call it is to, and its message holds no address."""
    body = {"message": "ann.other@example.com", "Code": 1, "Message": "ann.other@example.com"}
    leaving = RemovalRunner(full)
    fault(full, count=0, status=status, body=body)
    with pytest.raises(SegexportError) as removing:
        leaving.leave(["p1@example.com"])
    full.sim.faults([{"vendor": full.name, "contains": "p1@example.com", "count": 0, "status": status, "body": body}])
    with pytest.raises(SegexportError) as reading:
        leaving.leave(["p1@example.com"])
    for text in (str(removing.value), str(reading.value)):
        assert "@" not in text.replace("***", "")
        assert "%40" not in text


def test_a_vendor_that_is_down(full):
    """No person is removed, and the next try does it."""
    fault(full, status=503, count=0)
    with pytest.raises(VendorUnavailable):
        RemovalRunner(full).leave(["p1@example.com"])
    full.sim.clear_faults()
    assert RemovalRunner(full).leave(["p1@example.com"]) == {"p1@example.com": None}


@pytest.fixture
def jobs(full):
    """An audience at a vendor that takes people out in jobs."""
    if not full.vendor.removal.limits.max_jobs:
        pytest.skip("this vendor has no removal jobs")
    return full


def script(jobs, *states):
    jobs.sim.act(jobs.name, "script_jobs", {"scripts": [list(states)], "of": "removals"})


def test_a_removal_job_is_waited_for(jobs):
    """As long as it runs it is polled."""
    running, done, _, _ = jobs.row.removal_states
    script(jobs, running, running, done)
    leaving = RemovalRunner(jobs)
    assert leaving.leave(["p1@example.com"]) == {"p1@example.com": None}
    assert leaving.polls == 3
    assert "p1@example.com" not in inside(jobs)


def test_a_removal_job_that_fails_goes_again(jobs):
    """Whatever the vendor calls it, its people are taken out by another."""
    _, _, failures, _ = jobs.row.removal_states
    for number, failed in enumerate(failures):
        script(jobs, failed)
        assert RemovalRunner(jobs).leave([f"p{number}@example.com"]) == {f"p{number}@example.com": None}
    assert inside(jobs) == people(5)[len(failures) :]
    assert len(removals(jobs)) == 2 * len(failures)


def test_a_removal_state_that_is_not_documented_is_no_verdict(jobs, published):
    """It does not stop the run: the audience is read, as after every removal of this vendor."""
    *_, unknown = jobs.row.removal_states
    script(jobs, *[unknown] * 3)
    assert {"p1@example.com": None} == RemovalRunner(jobs).leave(["p1@example.com"])
    assert not jobs.vendor.removal.confirms
    published.clear()


@pytest.fixture
def account_with_lookup(full):
    """A vendor that lists the members of its audience, and two people that were removed or never added."""
    if not (full.vendor.removal.resolve_ids or full.vendor.removal.find_members):
        pytest.skip("this vendor is asked for each person anyway")
    RemovalRunner(full).leave(["p4@example.com"])
    full.members()
    full.sim.seed(full.name, [{"email": "elsewhere@example.com"}], None)
    return full


@pytest.mark.parametrize("members", [1, 1_000_000])
def test_members_of_the_audience_are_returned_with_an_id(account_with_lookup, members):
    """Members among the given people and no others, by pages or one by one, whichever takes fewer calls."""
    emails = ["p0@example.com", "p1@example.com", "p4@example.com", "elsewhere@example.com", "nobody@example.com"]
    before = len(account_with_lookup.sim.requests(vendor=account_with_lookup.name))
    leaving = RemovalRunner(account_with_lookup)
    ids = leaving.ids(emails, members)
    assert sorted(ids) == ["p0@example.com", "p1@example.com"]
    assert all(ids.values())
    calls = account_with_lookup.sim.requests(vendor=account_with_lookup.name)[before:]
    assert leaving.ids(["p0@example.com"], members).keys() == {"p0@example.com"}
    asked_for = [call for call in calls if "example.com" in str(call["query"]) + str(call["path"])]
    if members == 1:
        assert asked_for == []
