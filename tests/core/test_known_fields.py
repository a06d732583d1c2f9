"""A field whose values the vendor has lost gets its next generation."""

from __future__ import annotations

import pytest

from airflow_provider_segexport.storage.known_fields import KnownField, update

FIELDS = {"shop": KnownField("text 7", 1)}


@pytest.mark.parametrize(
    ("type_now", "created", "generation"),
    [
        pytest.param("text 7", (), 1, id="same"),
        pytest.param("text", (), 1, id="no id"),
        pytest.param("text 8", (), 2, id="recreated"),
        pytest.param("number 7", (), 2, id="other type"),
        pytest.param("text", ("SHOP",), 2, id="created by the run"),
    ],
)
def test_the_generation_of_a_field(type_now: str, created: tuple[str, ...], generation: int):
    assert update(FIELDS, {"SHOP": type_now}, created) == {"shop": KnownField(type_now, generation)}


def test_a_field_that_a_run_does_not_map_stays_known():
    """A later run that maps it again sees that it was recreated in between."""
    between = update(FIELDS, {"city": "text 9"})
    assert between == {**FIELDS, "city": KnownField("text 9")}
    assert update(between, {"shop": "text 8"})["shop"].generation == 2


def test_a_field_that_a_run_creates_has_one_generation_before_and_after_the_vendor_names_it():
    """The plan before the field is created, and that after it, compare rows by the same hash."""
    planned = update({}, {"shop": "text"}, ("shop",))
    assert update(planned, {"shop": "text 7"}) == {"shop": KnownField("text 7", 1)}
