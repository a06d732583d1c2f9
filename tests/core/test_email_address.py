"""Email syntax: the fast pattern and email-validator accept the same addresses."""

from __future__ import annotations

from random import Random

import pyarrow as pa
import pytest
from core.factories import cleaned, outcomes, shared, values, written
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_segexport import email_address
from airflow_provider_segexport.email_address import validate
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


def in_any_case(random, text):
    """Some letters in upper case, as people type them."""
    return "".join(random.choice((sign, sign.upper())) for sign in text)


def plain(texts):
    """Those that the engine's pattern takes."""
    shared().table("texts", pa.table({"email": pa.array(texts, pa.string())}))
    return [text for (text,) in shared().rows(f"select email from texts where {email_address.plain_sql('email')}")]


def test_what_the_pattern_takes_email_validator_takes_unchanged():
    """A plain address needs no second opinion, for the second opinion is the same."""
    random = Random(7)
    taken = plain([in_any_case(random, nearly(random)) for _ in range(20_000)])
    assert len(taken) > 500
    for text in taken:
        checked = validate_email(text, check_deliverability=False, strict=True)
        assert text.lower() == checked.normalized.lower() == checked.ascii_email.lower()


def test_what_is_known_of_a_domain_is_what_email_validator_says_of_the_whole():
    """A plain local part does not change whether an address is valid."""
    random = Random(11)
    texts = [nearly(random) for _ in range(3_000)]
    texts += [text.replace("a", "ü").replace("b9", "例") for text in texts]
    results = [validate(text) for text in texts]
    assert results == [email_address._validate_fully(email_address.trimmed(text)) for text in texts]
    assert sum(result.email is not None and "xn--" in result.email for result in results) > 50
    assert email_address._validate_domain.cache_info().hits > 100


@settings(max_examples=10, deadline=None)
@given(st.lists(st.emails().map(str.lower), max_size=5))
def test_what_the_pattern_takes_of_any_address_is_taken(texts):
    """The same holds for addresses that are made after the standard."""
    for text in plain(texts):
        assert validate(text) == email_address.EmailResult(text)


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
    assert validate(text) == email_address.EmailResult(email)


@pytest.mark.parametrize("text", ["jané@example.com", "用户@例え.jp"])
def test_a_local_part_outside_ascii(text):
    """It needs SMTPUTF8 all the way, which no vendor documents."""
    assert validate(text) == email_address.EmailResult(None, Reason.NON_ASCII_EMAIL)


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
    "jane@example.com <joe@example.com>",
    "<jane@example.com> <jane@example.com>",
    "jane@example.com, joe@example.com",
    '"jane"@example.com',
    "jane\u200bdoe@example.com",
    "jane@exam\u200bple.com",
    "jane\x00@example.com",
    "jane@example\x07.com",
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
    assert validate(text) == email_address.EmailResult(None, Reason.INVALID_EMAIL)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_any_text_gets_a_result(text):
    """No value of a column breaks the run."""
    result = validate(text.strip().lower())
    assert (result.email is None) != (result.reason is None)
    assert result.email is None or result.email.isascii()


def test_a_file_of_only_slow_addresses(tmp_path):
    """A segment without one plain address keeps its order, over several chunks and files."""
    people = [f"o'person{n}@bücher.de" for n in range(150)]
    first = written(tmp_path / "1.parquet", {"email": people})
    two = written(tmp_path / "2.parquet", {"email": [*people[::-1], "o'last@bücher.de"]})
    with cleaned(first, two) as (sql, _):
        assert values(sql, "email") == [f"o'person{n}@xn--bcher-kva.de" for n in range(150)] + [
            "o'last@xn--bcher-kva.de"
        ]
        assert {("withheld", "duplicate", "email")} == set(outcomes(sql).values())
        assert set(range(150, 300)) == set(outcomes(sql))


def test_the_engine_s_pattern_is_python_s(tmp_path):
    """Both regular-expression engines read the pattern alike: every result of a file is the one of email-validator."""
    texts = [*BAD, "jane.doe@example.com", "j@b.test", "a@b.museum", "a" * 63 + "@example.com", "jané@example.com"]
    path = written(tmp_path / "x.parquet", {"email": texts})
    expected = {row: result.reason for row, text in enumerate(texts) if (result := validate(text)).reason}
    with cleaned(path) as (sql, _):
        assert {row: reason for row, (_, reason, _) in outcomes(sql).items()} == expected


def test_email_validator_is_of_the_same_mind_about_any_address(tmp_path):
    """Fuzzed texts are validated twice: the address sent is what email-validator makes of the text unchanged."""
    random = Random(23)
    odd = [
        *"ABéKİ'+!#|.@-_ ",
        "\u212a",
        "\u0130",
        "\u0131",
        "\ufb01",
        "ß",
        "\u0301",
        "例",
        "xn--",
        "\u200b",
        "%",
        "\x00",
    ]
    texts = [
        "".join(sign if random.random() < 0.9 else random.choice(odd) for sign in in_any_case(random, nearly(random)))
        for _ in range(8_000)
    ]
    sent = {}
    with cleaned(written(tmp_path / "x.parquet", {"email": texts})) as (sql, _):
        sent = {texts[row]: email for row, email in sql.rows("select row, email from valid_email_rows")}
    assert len(sent) > 300
    for text in texts:
        try:
            checked = validate_email(email_address.trimmed(text), check_deliverability=False, strict=True)
        except EmailNotValidError:
            checked = None
        ascii_local = email_address.trimmed(text).rpartition("@")[0].isascii()
        expected = checked.ascii_email.lower() if checked and checked.ascii_email and ascii_local else None
        assert (sent.get(text), validate(text).email) == (expected, expected), ascii(text)
