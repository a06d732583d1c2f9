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


def test_a_field_is_one_under_its_name_and_its_key():
    """One export writes its name, another its key. The field that does not exist yet has no key."""
    keys = {"My Shop": "MyShop"}
    fields = update({}, {"My Shop": "text"}, (), keys)
    fields = update(fields, {"My Shop": "text"}, ("My Shop",))  # the vendor has lost it, and the run will create it
    fields = update(fields, {"My Shop": "text"}, (), keys)
    assert update(fields, {"MYSHOP": "text"}, (), {"MYSHOP": "MyShop"})["myshop"].generation == 1
    fields = update(fields, {"My Shop": "text"}, ("My Shop",))
    assert update(fields, {"My Shop": "text"}, (), keys)["myshop"].generation == 2


def test_a_field_whose_name_is_the_key_of_another_does_not_change_with_it():
    """The two fields have two types."""
    types, keys = {"A": "text", "A1": "number"}, {"A": "A1", "A1": "A2"}
    fields = update({}, types, (), keys)
    assert update(fields, types, (), keys) == fields
    assert {field.generation for field in fields.values()} == {0}
