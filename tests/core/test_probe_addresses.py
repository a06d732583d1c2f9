"""Addresses of a probe, from the pattern that the user writes."""

from __future__ import annotations

import random

import pytest

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.probe.addresses import addresses

REAL = "https://api.omnisend.com"
EXAMPLES = ["example.com", "mail.example.org", "shop.example", "example.net"]


def disguised(rng: random.Random, domain: str) -> str:
    """A domain in another spelling of the same one: capitals, wide letters, other dots."""
    wide = {char: chr(ord(char) + 0xFEE0) for char in "abcdefghijklmnopqrstuvwxyz"}
    text = "".join(rng.choice([char, char.upper(), wide.get(char, char)]) for char in domain)
    text = "".join(rng.choice([char, "\u3002", "\uff0e"]) if char == "." else char for char in text)
    return text + rng.choice(["", " "])


@pytest.mark.parametrize("domain", EXAMPLES)
def test_an_example_domain_is_refused_in_every_spelling(domain):
    """Mail to addresses that do not exist would harm the sender, so no spelling gets past the check."""
    rng = random.Random(domain)
    for _ in range(100):
        with pytest.raises(InvalidArgument, match="belongs to no one"):
            addresses(f"me+{{n}}@{disguised(rng, domain)}", 20, REAL)


@pytest.mark.parametrize("pattern", ["Me+{n}@My-Domain.com", "me+{n}@bücher.de", "o'neil{n}@a.b.co.uk", " x{n}@y.com "])
def test_other_addresses_are_as_many_as_needed(pattern):
    """Each is different, and in the form in which exports compare addresses."""
    made = addresses(pattern, 20, REAL)
    assert len(set(made)) == 20
    assert all(canonical(email) == email for email in made)
