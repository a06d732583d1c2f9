"""Masked items: nothing of a person's values is left, and what the field mapping determines is."""

from __future__ import annotations

import json
import random
import string

import pytest

from airflow_provider_segexport.export.preview import constants, describe, mask
from airflow_provider_segexport.vendors.item_template import Array, Column, Const, Joined, JsonTemplate


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("jane.doe@example.com", "j…@e….com"),
        ("j@e.co", "j…@e….co"),
        ("7up@1und1.de", "7…@1….de"),
        ("ünal@example.com", "…@e….com"),
        ("a@b.xn--p1ai", "a…@b….…"),
        ("a@b.secretcompanyname", "a…@b….…"),
        ('"a b"@example.com', "<text, 17 characters>"),
        ("Jane", "<text, 4 characters>"),
        ("J", "<text, 1 character>"),
        ("", "<text, 0 characters>"),
        ("2026-03-05", "<date>"),
        ("3/5/2026", "<date>"),
        ("2026-03-05T04:30:00Z", "<date and time>"),
        ("+491701234567", "<phone number, 12 digits>"),
        ("12345", "<number, 5 digits>"),
        ("-1.5", "<number, 2 digits>"),
        (12, "<number, 2 digits>"),
        (1e300, "<number, 4 digits>"),
        (True, "<true or false>"),
        (None, "<text, 4 characters>"),
        ("0170 1234567", "<text, 12 characters>"),
    ],
)
def test_a_value_becomes_its_kind_and_length(value, shown):
    assert describe(value) == shown


def test_an_address_keeps_two_letters_at_most():
    """Two characters and a top-level domain of letters are all that is left of any address."""
    rng = random.Random(1)
    for _ in range(2000):
        local, label = (
            "".join(rng.choices(string.ascii_letters + string.digits + "._-+ü'", k=rng.randint(1, 20)))
            for _ in range(2)
        )
        text = describe(f"{local}@{label}.example")
        assert len(text.replace("…", "").replace("@", "").removesuffix(".example")) <= 2 or text.startswith("<text")


TEMPLATE = JsonTemplate(
    {
        "matchIdentifier": Const("email"),
        "identifiers": Array((JsonTemplate({"type": Const("email"), "id": Column("email")}),)),
        "name": Joined(("first", "last")),
        "lists": Array((Const(7),)),
        "welcome": Const(value=False),
    }
)


def test_constants_stay_and_only_where_they_are():
    """A value that happens to equal a constant of another place is masked."""
    item = {
        "matchIdentifier": "email",
        "identifiers": [{"type": "email", "id": "email"}],
        "name": "False",
        "lists": [7],
        "welcome": False,
    }
    assert mask(item, constants(TEMPLATE)) == {
        "matchIdentifier": "email",
        "identifiers": [{"type": "email", "id": "<text, 5 characters>"}],
        "name": "<text, 5 characters>",
        "lists": [7],
        "welcome": False,
    }
    assert mask({"lists": [True, 1, 7.0, "7"]}, constants(TEMPLATE))["lists"] == [
        "<true or false>",
        "<number, 1 digit>",
        "<number, 2 digits>",
        "<number, 1 digit>",
    ]


def test_no_value_of_any_form_is_left():
    """Any JSON: each leaf is a description, keys and shape stay."""
    rng = random.Random(2)

    def value(depth: int):
        kind = rng.randrange(7 if depth else 5)
        if kind == 5:
            return [value(depth - 1) for _ in range(rng.randrange(4))]
        if kind == 6:
            return {f"key{number}": value(depth - 1) for number in range(rng.randrange(4))}
        canary = "".join(rng.choices("canry 0123456789@.-/+:T", k=rng.randint(6, 30)))
        return ["canary" + canary, 918273645, 918273.645, canary + "canary@canary.com", "+49918273645"][kind]

    for _ in range(300):
        text = json.dumps(mask({"item": value(3)}))
        assert "canary" not in text.replace("canary.com", "")
        assert "918273" not in text
