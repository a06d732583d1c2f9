"""A brand whose upserts replace tags: a later run reads the jobs of an unfinished run, and adds none of its tags."""

from __future__ import annotations

from contextlib import suppress

import pytest
from vendors.harness import people
from vendors.omnisend_brand import MODES, Brand

from airflow_provider_segexport.errors import StaleSnapshot


def dies(_: int) -> bool:
    raise KeyboardInterrupt


@pytest.fixture(params=MODES)
def brand(request, sim, tmp_path):
    """A brand with a member p0, and a killed run of day 3 whose jobs put p0 to p4 in."""
    brand = Brand(sim, tmp_path, request.param)
    brand.day(1, people(1))
    sim.configure({"omnisend": {"job_seconds": 60}})
    with pytest.raises(KeyboardInterrupt):
        brand.day(
            3, people(5), first=dict.fromkeys(people(5), "Changed"), environment=brand.environment("day-3", pause=dies)
        )
    sim.clock.advance(300)
    return brand


def added(brand: Brand) -> list[list[str]]:
    """Addresses and contact ids of the calls that add the audience's tag."""
    calls = [call["body"] for call in brand.calls("POST", "/contacts/tags") if brand.audience in call["body"]["tags"]]
    return [[*body.get("emails", ()), *body.get("contactIDs", ())] for body in calls]


@pytest.mark.parametrize(("number", "dry_run"), [(2, False), (4, True)], ids=["older", "dry run"])
def test_a_run_that_may_change_nothing_adds_no_tag(brand, number, dry_run):
    """An older snapshot is refused, and a dry run changes nothing, although the killed run's jobs have ended."""
    before = added(brand)
    with suppress(StaleSnapshot):
        brand.day(number, people(3), name="later", dry_run=dry_run)
    assert added(brand) == before


def test_a_newer_run_adds_no_tag_to_people_that_its_segment_lacks(brand):
    """People of the killed run that are in the newer segment get the tag, by the newer run."""
    calls = len(added(brand))
    brand.day(4, people(2), first=dict.fromkeys(people(2), "Changed"))
    assert set(brand.active()) == set(people(2))
    tagged = [person for call in added(brand)[calls:] for person in call]
    assert len(tagged) <= 2
    brand.assert_unharmed(*people(2))


def test_the_same_run_adds_the_tags_when_it_continues(brand):
    """Its own retry completes its jobs."""
    brand.day(3, people(5), first=dict.fromkeys(people(5), "Changed"), name="day-3")
    brand.assert_unharmed(*people(5))
