"""Suppression lists of hashes: each usual form is known, and no text is taken for a hash."""

from __future__ import annotations

import base64

import pyarrow as pa
import pytest
from core.suppression_lists import CODED, KINDS, PEOPLE, PLAIN, UNICODE, digest, listed

__all__ = ["listed"]


def forms(kind, text):
    """How a hash is written as text."""
    raw = digest(kind, text)
    coded = base64.b64encode(raw).decode()
    named = {"md5": "MD5", "sha1": "sha-1", "sha256": "SHA256"}[kind]
    yield from (raw.hex(), raw.hex().upper(), f"{kind}:{raw.hex()}", f"{named}={raw.hex()}", f"0x{raw.hex().upper()}")
    yield from (f"\\x{raw.hex()}", f"\ufeff{raw.hex()}\r\n", f"sha256:0x{raw.hex()}" if kind == "sha256" else raw.hex())
    yield from (coded, coded.rstrip("="), base64.urlsafe_b64encode(raw).decode(), f"{kind}-{coded}\n")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("text", "email"), [(PLAIN, PLAIN), (CODED, CODED), (UNICODE, CODED)])
def test_a_hash_is_known_in_every_usual_form(listed, kind, text, email):
    """The length of a hash shows its kind; either form of the domain may have been hashed."""
    entries = list(forms(kind, text))
    tally, people = listed({"email": entries})
    assert {email} == people
    assert (len(entries), len(entries), 0) == (tally.understood, tally.matched, tally.not_understood)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("type_of", [lambda n: pa.binary(), lambda n: pa.large_binary(), pa.binary], ids="vlf")
def test_a_digest_may_be_bytes(listed, kind, type_of):
    """Warehouses keep digests as binary columns, with or without a fixed width."""
    raw = [digest(kind, PLAIN), digest(kind, UNICODE), digest(kind, "x@example.org")]
    tally, people = listed({"sha": pa.array(raw, type_of(len(raw[0])))})
    assert {PLAIN, CODED} == people
    assert (3, 2) == (tally.understood, tally.matched)


def test_a_text_in_a_column_of_bytes_is_a_text(listed):
    """An address of 16 bytes is as long as an MD5, and a hexadecimal MD5 as long as a SHA-256."""
    texts = [PLAIN, f"{UNICODE}\r", digest("md5", "joe@example.com").hex(), "o'brien@example.com"]
    assert len(PLAIN) == 16
    tally, people = listed({"email": pa.array([text.encode() for text in texts], pa.binary())})
    assert set(PEOPLE) == people
    assert (4, 4) == (tally.understood, tally.matched)


@pytest.mark.parametrize("width", [16, 20, 32])
@pytest.mark.parametrize(
    "text",
    [
        "joe@example.com",
        '"J" <joe@example.com>',
        "\ufeffjoe@example.com",
        "mailto:joe@example.com?x",
        "joe@example,com.",
    ],
)
@pytest.mark.parametrize("pad", [bytes.ljust, bytes.rjust], ids=["left", "right"])
@pytest.mark.parametrize("filler", [b"\0", b" "], ids=["nul", "space"])
def test_a_padded_text_as_long_as_a_digest_is_a_text(listed, width, text, pad, filler):
    """A column of fixed width has such entries; one that is no address is not understood, and no digest."""
    padded = pad(text.encode(), width, filler)
    tally, people = listed({"email": pa.array([padded], pa.binary(len(padded)))})
    is_address = "," not in text
    assert people == ({"joe@example.com"} if is_address else set())
    assert (int(is_address), int(not is_address)) == (tally.understood, tally.not_understood)


@pytest.mark.parametrize("width", [16, 20, 32])
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "among_addresses"])
@pytest.mark.parametrize(
    "text",
    [
        "müller@abc.de".encode("latin-1"),
        "info@müller.de".encode("latin-1"),
        "Jürg <j@abc.de>".encode("cp1252"),
        "j@пример.рф".encode("cp1251"),
        "jane@abc.com…".encode("cp1252"),
        "jane@x.de".encode("utf-16-le")[:16],
        "j@x.de".encode("utf-16"),
        b"j\t@abc.de",
        b"jane at abc.de",
        b"unbekannt, weg",
        "jürgen bei abc".encode(),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("filler", [b"\0", b" "], ids=["nul", "space"])
def test_a_text_that_is_no_address_is_not_a_digest(listed, width, alone, text, filler):
    """A text in another character set, or one that only names a person, would protect no person as a digest."""
    cells = [text.ljust(width, filler)[:width]] + ([] if alone else [PLAIN.encode(), b"joe@example.com"])
    tally, people = listed({"email": pa.array(cells, pa.binary())})
    assert people == (set() if alone else {PLAIN, "joe@example.com"})
    assert (1, len(cells) - 1) == (tally.not_understood, tally.understood)


def test_a_text_among_digests_is_not_a_digest(listed):
    """An address in another character set is read as a text among any number of digests."""
    digests = [digest("md5", f"{number}@example.com") for number in range(5_000)]
    tally, _ = listed({"email": pa.array([*digests, "info@müllers.de".encode("latin-1").ljust(16)])})
    assert (5_000, 1) == (tally.understood, tally.not_understood)
    assert (("stop.parquet", 5_000),) == tally.examples


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_digest_is_a_digest(listed, kind):
    """A short list has no other entries that show what its bytes are."""
    for number in range(10):
        assert 1 == listed({"email": pa.array([digest(kind, f"{number}@example.com")])})[0].understood


@pytest.mark.parametrize("kind", KINDS)
def test_digests_are_not_taken_for_texts(listed, kind):
    """Twenty thousand digests are all understood as digests."""
    raw = [digest(kind, f"{number}@example.com") for number in range(20_000)]
    assert 20_000 == listed({"email": pa.array(raw)})[0].understood


@pytest.mark.parametrize(
    "entry",
    [
        base64.b64encode(PLAIN.encode()).decode(),
        base64.urlsafe_b64encode(b"joe.bloggs@example.com  joe@x.de"[:32]).decode().rstrip("="),
        base64.b64encode(digest("md5", PLAIN).hex().encode()).decode(),
        base64.b64encode(digest("md5", PLAIN).hex().upper().encode()).decode(),
        "md5:" + base64.b64encode(PLAIN.encode()).decode(),
        "unsubscribed_marketing",
        "Unsubscribed-Marketing",
        "UNSUBSCRIBED_MARKETING"[:21] + "A",
        "unsubscribed_from_marketing",
    ],
)
def test_a_text_as_long_as_a_hash_in_base64_is_not_a_hash(listed, entry):
    """Base64 of an address, or of a hash's digits, and a word would protect no person as a hash."""
    tally, people = listed({"email": [entry, PLAIN]})
    assert ({PLAIN}, 1, 1) == (people, tally.understood, tally.not_understood)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("padding", ["=", ""], ids=["padded", "bare"])
def test_hashes_in_base64_are_not_taken_for_texts(listed, kind, padding):
    """Twenty thousand hashes are all understood as hashes."""
    coded = [base64.b64encode(digest(kind, f"{number}@example.com")).decode() for number in range(20_000)]
    tally, _ = listed({"email": [text if padding else text.rstrip("=") for text in coded]})
    assert 20_000 == tally.understood


NAMES = ["hash", "sha256", "SHA-256", "email_sha256", "Hashed Email", "\ufeffsha256", "hashed_email_sha256", "HEM"]
NAMES += ["email_address_sha256", "sha256_email_lower", "email-hash-sha-256-hex", "emailSha256"]


@pytest.mark.parametrize("name", NAMES)
def test_a_hash_may_stand_in_a_second_column(listed, name):
    """Exports hold the address where it is known, and a hash where it is not; both are read."""
    hashes = [None, digest("sha256", CODED).hex(), digest("sha256", "joe@example.com").hex(), None, "x"]
    emails = [PLAIN, None, "somebody@example.org", None, "o'brien@example.com"]
    tally, people = listed({"id": [1, 2, 3, 4, 5], "Email": emails, name: hashes})
    assert set(PEOPLE) == people
    assert (5, 1, 3, 1) == (tally.read, tally.blank, tally.understood, tally.not_understood)
    assert 4 == tally.matched


@pytest.mark.parametrize(
    ("name", "values", "unread"),
    [
        ("email_sha512", ["x"], True),
        ("crm_hash", [b"x"], True),
        ("old_email", pa.array(["x"]).dictionary_encode(), True),
        ("Email Address 2", pa.array(["x"], pa.large_string()), True),
        ("phone_md5", ["x"], True),
        ("row_hash", [1], False),
        ("email_type", ["x"], False),
        ("scheme", ["x"], False),
        ("hashed", ["x"], False),
        ("sha1", ["x"], False),
    ],
)
def test_a_column_that_looks_like_one_of_entries_and_is_not_read_is_named(listed, name, values, unread):
    """A row without an address may have its hash there, and would protect no person."""
    tally, _ = listed({"email": [PLAIN], name: values})
    assert ((name,) if unread else ()) == tally.unread_columns


@pytest.mark.parametrize("name", ["email_address", "E-Mail 2", "old_email", "email_sha512", "mail"])
@pytest.mark.parametrize("kind", [pa.string(), pa.binary()], ids=str)
def test_a_row_whose_only_address_is_in_a_column_that_is_not_read_is_not_understood(listed, name, kind):
    """Its person would get mail; the other rows are read as usual."""
    emails = [PLAIN, None, " \r", "", None, "joe@example.com"]
    other = ["x", "o'brien@example.com", "o'brien@example.com", "y", "\u200b ", None]
    tally, people = listed({"email": emails, name: pa.array(other).cast(kind)})
    assert {PLAIN, "joe@example.com"} == people
    assert (6, 1, 2, 3) == (tally.read, tally.blank, tally.understood, tally.not_understood)
    assert [1, 2, 3] == [row for _, row in tally.examples]
    assert (name,) == tally.unread_columns


def test_a_row_without_an_address_may_have_another_hash(listed):
    """A hash of a whole row, or of a phone number, is no address that was left unread."""
    tally, _ = listed({"email": [PLAIN, None], "row_hash": ["x", "y"], "phone_md5": ["x", "y"]})
    assert (1, 1, 0) == (tally.understood, tally.blank, tally.not_understood)


@pytest.mark.parametrize(
    ("entries", "only_hashes"),
    [
        (["0" * 32, "1" * 64, None], True),
        ([digest("md5", "x@example.org").hex(), "x@example.org"], False),
        ([None, ""], False),
        ([], False),
    ],
)
def test_a_list_of_nothing_but_hashes_is_known(listed, entries, only_hashes):
    """Hashes of anything else than addresses look the same, so that none matches is worth a warning."""
    tally, _ = listed({"email": pa.array(entries, pa.string())})
    assert (only_hashes, 0) == (tally.only_hashes, tally.matched)
    assert {"name", "read", "blank", "understood", "not_understood", "matched"} == set(tally.figures())
