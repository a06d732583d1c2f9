"""Campaign Monitor: an erased person who lawfully returns is added again, also after an erasure that broke off."""

from __future__ import annotations

import pytest
from vendors.harness import VendorHarness, people
from vendors.takeovers import RUNS_OUT_S, ledger_of

from airflow_provider_segexport.errors import AuthenticationFailed, VendorUnavailable
from airflow_provider_segexport.person.erase import ErasureDeps, erase
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.person.vendor_removal import VendorRemover
from airflow_provider_segexport.storage import erased
from airflow_provider_segexport.storage.paths import local_path

PERSON = Person.of(people(3)[2])


class Killed(BaseException):
    """The process has been killed."""


@pytest.fixture
def account(sim, tmp_path):
    """A list of three people, who were added by an export."""
    account = VendorHarness(sim, "campaign_monitor", tmp_path)
    account.day(1, people(3))
    return account


def erased_by(account, *, before=None, after=None):
    """Erase the person. `before` or `after` the call to the vendor an error is raised."""

    def take_out(record, person):
        if before:
            raise before
        target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
        outcome = VendorRemover(account.vendor, target, account.call, account.sleep).remove(person.email)
        if after:
            raise after
        return outcome

    deps = ErasureDeps(
        local_path(str(account.home)), local_path, take_out, account.sim.clock.now, account.sleep, marks=lambda _: True
    )
    return erase(deps, PERSON, "Ann")


def comes_back(account):
    """Export the person again on the next day; return whether the person is in the list."""
    account.day(2, people(3))
    return PERSON.email in account.active()


@pytest.mark.parametrize("error", [Killed(), VendorUnavailable("No response.")])
def test_an_erasure_that_gets_no_response_and_is_repeated(account, error):
    """The second one finds the person deleted, and the first one has done it."""
    try:
        assert not erased_by(account, after=error).complete
    except Killed:
        account.sim.clock.advance(RUNS_OUT_S)
    assert PERSON.email not in account.active()
    assert erased_by(account).complete
    assert comes_back(account)


def test_a_person_that_a_colleague_deleted_stays_out(account):
    """An erasure that finds the person deleted, or that may not call the vendor, does not count as a deletion."""
    erased_by(account, before=AuthenticationFailed("No access."))
    account.sim.seed(account.name, [{"email": PERSON.email, "status": "Deleted"}], account.audience)
    assert erased_by(account).complete
    assert [] == erased.marks(ledger_of(account).path)
    assert not comes_back(account)
