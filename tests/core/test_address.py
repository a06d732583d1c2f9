"""Email syntax: the fast pattern and email-validator give one verdict."""

from __future__ import annotations

from random import Random

import pyarrow as pa
import pytest
from core.made import cleaned, outcomes, shared, values, written
from email_validator import validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_segexport import address
from airflow_provider_segexport.address import judge
from airflow_provider_segexport.model import Reason

PIECES = [*["a", "b9", "jane", "1", "-", ".", "_", "+"] * 4, "x" * 30, "--", "..", "%", "'", "!", "xn--", "é", " "]
ENDINGS = [
    *["com", "de"] * 8,
    "museum",
    "x",
    "local",
    "test",
    "onion",
    "arpa",
    "invalid",
    "c0m",
    "12",
    "example",
    "y" * 25,
]


def nearly(random):
    """An address, or something that was one before it was typed."""
    local, *labels = ("".join(random.choices(PIECES, k=random.randint(1, 3))) for _ in range(random.randint(2, 3)))
    return f"{local}@{'.'.join([*labels, random.choice(ENDINGS)])}"


def plain(texts):
    """Those that the engine's pattern takes."""
    shared().table("texts", pa.table({"email": pa.array(texts, pa.string())}))
    return [text for (text,) in shared().rows(f"select email from texts where {address.plain('email')}")]


def test_what_the_pattern_takes_email_validator_takes_unchanged():
    """A plain address needs no second opinion, for the second opinion is the same."""
    random = Random(7)
    taken = plain([nearly(random) for _ in range(20_000)])
    assert len(taken) > 500
    for text in taken:
        found = validate_email(text, check_deliverability=False, strict=True)
        assert text == found.normalized == found.ascii_email


def test_what_is_known_of_a_domain_is_what_email_validator_says_of_the_whole():
    """A plain local part plays no part in the verdict on an address."""
    random = Random(11)
    texts = [nearly(random) for _ in range(3_000)]
    texts += [text.replace("a", "ü").replace("b9", "例") for text in texts]
    verdicts = [judge(text) for text in texts]
    assert verdicts == [address._judged(text) for text in texts]
    assert sum(one.email is not None and "xn--" in one.email for one in verdicts) > 50
    assert address._at.cache_info().hits > 100


@settings(max_examples=10, deadline=None)
@given(st.lists(st.emails().map(str.lower), max_size=5))
def test_what_the_pattern_takes_of_any_address_is_taken(texts):
    """The same holds for addresses that are made after the standard."""
    for text in plain(texts):
        assert judge(text) == address.Verdict(text)


def test_most_addresses_are_plain():
    """The pattern is there so that only the few cost a call."""
    good = ["jane.doe@example.com", "j_d+x@mail.example.co.uk", "a-b@a-b.de", "1%2@3.museum"]
    bad = [
        "jané@example.com",
        "a@b",
        "a@b.local",
        "a@xn--b.de",
        "a..b@c.de",
        "a@b.c",
        "'a@b.de",
        "a@" + "b" * 60 + ".de",
    ]
    assert plain(good + bad) == good


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("o'brien@example.com", "o'brien@example.com"),
        ("jane@bücher.de", "jane@xn--bcher-kva.de"),
        ("jane@xn--bcher-kva.de", "jane@xn--bcher-kva.de"),
        ("jane@例え.jp", "jane@xn--r8jz45g.jp"),
    ],
)
def test_addresses_that_are_not_plain_and_good(text, email):
    """An internationalised domain is sent in its ASCII form."""
    assert judge(text) == address.Verdict(email)


@pytest.mark.parametrize("text", ["jané@example.com", "用户@例え.jp"])
def test_a_local_part_outside_ascii(text):
    """It needs SMTPUTF8 all the way, which no vendor documents."""
    assert judge(text) == address.Verdict(None, Reason.NON_ASCII_EMAIL)


BAD = [
    "nobody",
    "@example.com",
    "jane@",
    "jane@example",
    "jane doe@example.com",
    "jane@exa mple.com",
    "jane@@example.com",
    "jane@example..com",
    ".jane@example.com",
    "jane@-example.com",
    "jane@example.com.",
    "jane@[127.0.0.1]",
    "<jane@example.com>",
    "jane@example.com, joe@example.com",
    '"jane"@example.com',
    "jane\u200bdoe@example.com",
    "jane@exam\u200bple.com",
    "jane\x00@example.com",
    "jane@example.com\x07",
    "jane\n@example.com",
    "jane@shop.local",
    "jane@localhost",
    "jane@" + "a" * 64 + ".com",
    "a" * 65 + "@example.com",
    "a" * 10_000 + "@example.com",
    "jane@" + "a." * 5_000 + "com",
    "@" * 10_000,
    "\u202ejane@example.com",
]


@pytest.mark.parametrize("text", BAD)
def test_bad_addresses(text):
    """None of them can be sent, whatever is wrong with it."""
    assert judge(text) == address.Verdict(None, Reason.BAD_EMAIL)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_any_text_gets_a_verdict(text):
    """Nothing that stands in a column breaks the run."""
    verdict = judge(text.strip().lower())
    assert (verdict.email is None) != (verdict.reason is None)
    assert verdict.email is None or verdict.email.isascii()


def test_a_file_of_only_slow_addresses(tmp_path):
    """A segment without one plain address keeps its order, over several chunks and files."""
    people = [f"o'person{n}@bücher.de" for n in range(150)]
    one = written(tmp_path / "1.parquet", {"email": people})
    two = written(tmp_path / "2.parquet", {"email": [*people[::-1], "o'last@bücher.de"]})
    with cleaned(one, two) as (sql, _):
        assert values(sql, "email") == [f"o'person{n}@xn--bcher-kva.de" for n in range(150)] + [
            "o'last@xn--bcher-kva.de"
        ]
        assert {("withheld", "duplicate", "email")} == set(outcomes(sql).values())
        assert set(range(150, 300)) == set(outcomes(sql))


def test_the_engine_s_pattern_is_python_s(tmp_path):
    """Both regular-expression engines read the pattern alike: every verdict of a file is the one of email-validator."""
    texts = [*BAD, "jane.doe@example.com", "j@b.test", "a@b.museum", "a" * 63 + "@example.com", "jané@example.com"]
    path = written(tmp_path / "x.parquet", {"email": texts})
    expected = {row: verdict.reason for row, text in enumerate(texts) if (verdict := judge(trimmed(text))).reason}
    with cleaned(path) as (sql, _):
        assert {row: reason for row, (_, reason, _) in outcomes(sql).items()} == expected


def trimmed(text):
    return text.strip(address.WHITESPACE).lower()
