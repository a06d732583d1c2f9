"""However an address is spelt, it means one person: what is written around it, case, Unicode form, look-alikes."""

from __future__ import annotations

import re
from unicodedata import normalize

import pytest
from core.factories import cleaned, outcomes, values, written

from airflow_provider_segexport import email_address
from airflow_provider_segexport.email_address import validate
from airflow_provider_segexport.model import Reason


@pytest.fixture(scope="module")
def lookalikes() -> list[str]:
    """Every character that some change of case or of Unicode form turns into an ASCII letter, a digit or an at sign."""

    def forms(sign: str) -> str:
        normalized = (normalize(form, sign) for form in ("NFC", "NFKC", "NFKD"))
        return "".join((sign.lower(), sign.upper(), sign.casefold(), *normalized))

    signs = (chr(code) for code in range(0x80, 0x110000) if not 0xD800 <= code < 0xE000)
    return [sign for sign in signs if re.search(r"[0-9A-Za-z@]", forms(sign))]


def test_a_local_part_outside_ascii_never_becomes_somebody_else_s_address(tmp_path, lookalikes):
    """The Kelvin sign lower-cased is a k, and an I with a dot is an i in the engine: judged first, then lower-cased."""
    assert {"\u212a", "\u0130", "\u017f", "\ufb01", "\uff21", "\u00aa"} <= set(lookalikes)
    texts = [text for sign in lookalikes for text in (f"{sign}ate@example.com", f"ILK{sign}ER@example.com")]
    with cleaned(written(tmp_path / "x.parquet", {"email": texts})) as (sql, _):
        assert values(sql, "email") == []
        reasons = {reason for _, reason, _ in outcomes(sql).values()}
    assert {"non_ascii_email"} == reasons
    assert {None} == {validate(text).email for text in texts}
    for text in ("\u0130lker@example.com", "\u212aate@example.com", "KAT\u0130@EXAMPLE.COM", "I\u0307lker@example.com"):
        assert validate(text) == email_address.EmailResult(None, Reason.NON_ASCII_EMAIL)


def test_a_vendor_s_spelling_of_another_address_equals_none_of_ours(lookalikes):
    """Vendors hold contacts of their own: one whose address only looks alike must not be taken for ours."""
    for sign in lookalikes:
        text = f"{sign}ate@example.com"
        assert email_address.canonical(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Jane@Example.COM", "jane@example.com"),
        (" jane@example.com\r\n", "jane@example.com"),
        ("jane@bücher.de", "jane@xn--bcher-kva.de"),
        ("Jane@BÜCHER.de", "jane@xn--bcher-kva.de"),
        ("JANE@XN--BCHER-KVA.DE", "jane@xn--bcher-kva.de"),
        ("O'Brien@Example.com", "o'brien@example.com"),
        ("", ""),
        ("not an address", "not an address"),
    ],
)
def test_a_vendor_s_spelling_of_our_address_is_ours(text, expected):
    """Vendors answer in their own case, and with either form of a domain."""
    assert expected == email_address.canonical(text)


WRAPPED = [
    "jane@example.com",
    "Jane@Example.COM\r",
    "\ufeffjane@example.com",
    "\u00a0jane@example.com\u200b\n",
    "jane@example.com\x00\x00",
    "\u202ajane@example.com\u202c",
    "mailto:jane@example.com",
    "MAILTO: jane@example.com",
    "mailto://jane@example.com",
    "mailto:jane@example.com?subject=Hi&body=x@y.de",
    "mailto:jan%65%40example.com",
    "<jane@example.com>",
    "Jane Doe <jane@example.com>",
    '"Doe, Jane" <Jane@Example.com> ',
    "Jané Dœ <\tjane@example.com\u00a0>",
    "jane@example.com <jane@example.com>",
    "Jane@Example.com <mailto:jane@example.com>",
    "'jane@example.com' <jane@example.com>",
    "Jane @ Work <jane@example.com>",
]


@pytest.mark.parametrize("text", WRAPPED, ids=ascii)
def test_what_is_written_around_an_address_is_no_part_of_it(tmp_path, text):
    """A link, a name and invisible characters are taken off, alike in Python and in the engine."""
    assert validate(text) == email_address.EmailResult("jane@example.com")
    with cleaned(written(tmp_path / "x.parquet", {"email": [text]})) as (sql, _):
        assert values(sql, "email") == ["jane@example.com"]


@pytest.mark.parametrize(
    "text",
    [
        "joe@example.com <jane@example.com>",
        '"joe@example.com" <jane@example.com>',
        "mailto:joe@example.com <jane@example.com>",
        "mailto:jane@example.com,joe@example.com",
        "mailto:",
        "\u212aate@example.com <kate@example.com>",
        "mailto:mailto:jane@example.com",
        "Jane <>",
        "<<jane@example.com>>",
        "Jane <jane@example.com> and Joe <joe@example.com>",
        "\u202emoc.elpmaxe@enaj",
        "ma\u0130lto:jane@example.com",
    ],
    ids=ascii,
)
def test_two_addresses_in_one_text_are_none(text):
    """Which of them is meant is not guessed."""
    assert validate(text).email is None


def test_case_and_unicode_form_of_a_domain_do_not_make_two_people(tmp_path):
    """IDNA maps a domain's letters itself: lower-casing them first would make another domain of a final sigma."""
    texts = [
        "a@BÜCHER.de",
        "a@bu\u0308cher.de",
        "A@xn--BCHER-kva.DE",
        "b@ΒΌΛΟΣ.gr",
        "b@βόλοσ.gr",
        "c@βόλος.gr",
        "c@\u0130x.de",
    ]
    with cleaned(written(tmp_path / "x.parquet", {"email": texts})) as (sql, _):
        assert values(sql, "email") == [
            "a@xn--bcher-kva.de",
            "b@xn--nxasmq6b.gr",
            "c@xn--nxasmm1c.gr",
            "c@xn--ix-rub.de",
        ]
