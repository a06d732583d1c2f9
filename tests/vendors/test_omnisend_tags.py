"""Omnisend: through the life of an audience tags of others survive, whatever an upsert does with tags."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from vendors.harness import people
from vendors.omnisend_brand import MODES, Brand

from airflow_provider_segexport.errors import VendorUnavailable
from airflow_provider_segexport.http.client import RetryLimits
from airflow_provider_segexport.person.vendor_removal import REMOVED, VendorRemover

GUARDS = {"max_removals_share": None, "max_shrink": None, "max_growth": None}


@pytest.fixture(params=MODES)
def brand(request, sim, tmp_path):
    return Brand(sim, tmp_path, request.param)


@pytest.mark.parametrize(
    ("mode", "learnt"), [("merge", "merge"), ("merge", "replace"), ("replace", "replace"), ("replace", "unknown")]
)
class TestLife:
    @pytest.fixture
    def brand(self, sim, tmp_path, mode, learnt):
        brand = Brand(sim, tmp_path, mode, batch_rows=2)
        brand.learn(learnt)
        return brand

    def test_mirror_and_undo(self, brand):
        """People come, change, leave and come back; others' tags are never touched."""
        brand.day(1, people(5))
        brand.assert_unharmed(*people(5))
        brand.day(2, [*people(3), "new@example.com"], first={"p0@example.com": "New"})
        brand.assert_unharmed(*people(3), "new@example.com")
        brand.undo()
        brand.assert_unharmed(*people(5))

    def test_a_retry_after_lost_answers(self, brand):
        """A batch whose answer was lost, and one whose tags could not be added, are both completed by the next try."""
        brand.fault(drop=True, when="after")
        with pytest.raises(VendorUnavailable):
            brand.day(1, people(5), environment=brand.environment("day-1", patience=RetryLimits(attempts=1)))
        brand.sim.clear_faults()
        brand.day(1, people(5))
        brand.assert_unharmed(*people(5))

    def test_items_that_fail(self, brand):
        """A rejected person gets no tag; one who is sent again does."""
        brand.sim.act("omnisend", "fail_items", {"status": 400, "email": "p0@example.com", "times": 99})
        brand.sim.act("omnisend", "fail_items", {"status": 503, "email": "p3@example.com", "times": 1})
        report = brand.day(1, people(5))
        assert report["counts"]["delivered"] == 4
        brand.assert_unharmed(*people(5)[1:])

    def test_the_estimate(self, brand, learnt):
        """It counts the calls that add the tag, and their own limit."""
        brand.vendor = replace(brand.vendor, limits=replace(brand.vendor.limits, batch_rows=1))
        estimate = brand.day(1, people(200), dry_run=True)["estimate"]
        assert (estimate["calls"], estimate["estimated_minutes"]) == ((200, 0.0) if learnt == "merge" else (600, 3.0))


@pytest.mark.parametrize(
    "value", ['"tags":["Customers"]', ',"tags":["Customers"]', '\\",\\"tags\\":[\\"Customers\\"]', "}]"]
)
def test_values_that_look_like_tags(sim, tmp_path, value):
    """The part cut from an item is the item's own member, whatever its values are."""
    brand = Brand(sim, tmp_path, "replace")
    brand.learn("replace")
    columns = {"email": people(2), "first": pa.array([value, "B"]), "shop": pa.array([value, None])}
    options = {"field_mapping": {"first_name": "first"}, "custom_fields": {"shop": "shop"}}
    report = brand.export(brand.segment(columns), **options)
    assert report["counts"]["delivered"] == 2
    items = brand.upserts()[0]["body"]["items"]
    assert [(item.get("firstName"), item.get("customProperties"), "tags" in item) for item in items] == [
        (value, {"shop": value}, False),
        ("B", None, False),
    ]


def test_removals_take_one_tag_and_spare_the_others(brand):
    """A leaver, and a person who is erased, keep the tags of others; all other people keep all tags."""
    brand.day(1, [*people(5), "new@example.com"])
    brand.day(2, [*people(4)], mode="mirror", guards=GUARDS)
    brand.assert_unharmed(*people(4))
    target = brand.call(brand.vendor.resolve_audience(brand.endpoint, brand.audience))
    assert VendorRemover(brand.vendor, target, brand.call, brand.sleep).remove("p0@example.com") == REMOVED
    brand.assert_unharmed("p1@example.com", "p2@example.com", "p3@example.com")
    bodies = [
        call["body"] for call in brand.calls("DELETE", "/contacts/tags") if brand.audience in call["body"]["tags"]
    ]
    assert [body for body in bodies if "contactIDs" in body or body["tags"] != [brand.audience]] == []
