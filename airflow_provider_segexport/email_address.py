"""The only definition of an email address: how it is read, when it is valid, and when two spellings are one address.

It holds for every place that an address comes from: segments, suppression lists, requests about a person, and vendors'
responses. One pattern reads plain addresses, email-validator all others, with the same verdict: the pattern takes a
subset of what email-validator takes, and changes nothing but the case (a test compares the two with fuzzed addresses).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

from airflow_provider_segexport.model import Reason
from airflow_provider_segexport.trimming import TRIMMED, trimmed

if TYPE_CHECKING:
    from email_validator import ValidatedEmail

# No two hyphens in a row (punycode), no special-use domain (RFC 6761). A label or a local part holds 63 characters, so
# that an address that is no longer as a whole needs no look at its parts. Both cases are spelled out: a pattern that
# ignores case takes the Kelvin sign (U+212A) for a k, which would be another person's address.
LOCAL = r"[A-Za-z0-9_%+]+([.-][A-Za-z0-9_%+]+)*"
PLAIN = LOCAL + r"@([A-Za-z0-9]+(-[A-Za-z0-9]+)*\.)+[A-Za-z]{2,24}"
SPECIAL_DOMAINS = ("arpa", "invalid", "local", "localhost", "onion", "test")
MAX_PLAIN_CHARS = 63
"""Characters of an address that the pattern reads. Such an address has no local part or domain label of more than 63
characters, so their lengths need no check of their own."""

MAX_CHARS = 254
"""Characters of an address at most (RFC 5321)."""

SAMPLE_LOCAL_PART = "a"

WHITESPACE = TRIMMED
"""What surrounds addresses that were copied from documents; trimmed."""

_LINK = re.compile(r"mailto:(?://)?", re.IGNORECASE | re.ASCII)
_NAMED = re.compile(r"([^<>]*)<([^<>]*)>")
_HAS_ADDRESS = re.compile(r"\S@\S")


def plain_sql(column: str) -> str:
    """SQL that tells a plain address, in any case. Such an address is ASCII, so `lower` is its only change."""
    special = "|".join("".join(f"[{sign}{sign.upper()}]" for sign in name) for name in SPECIAL_DOMAINS)
    matches = f"regexp_full_match({column}, '{PLAIN}') and not regexp_matches({column}, '\\.({special})$')"
    return f"(strlen({column}) <= {MAX_PLAIN_CHARS} and {matches})"


@dataclass(frozen=True, slots=True)
class EmailResult:
    """`email` as it is sent, or the reason why it is not."""

    email: str | None
    reason: Reason | None = None


def validate(text: str) -> EmailResult:
    """Return the verdict on a text as it stands in a file: `Jane <Jane@Example.com>` is `jane@example.com`.

    An internationalised domain is sent in its ASCII form, which reaches the same mailbox. A local part outside ASCII
    is rejected: it needs SMTPUTF8 all the way, and none of the vendors documents that it takes one. It is rejected
    before its case or its Unicode form is changed, because both can turn it into an ASCII address of somebody else.
    """
    text = extract_address(text)
    local, _, domain = text.rpartition("@")
    if not local:
        return EmailResult(None, Reason.INVALID_EMAIL)
    if len(text) <= MAX_PLAIN_CHARS and _local(local):
        alike = _validate_domain(domain)
        if alike.email is None:
            return alike
        if len(email := local.lower() + alike.email.removeprefix(SAMPLE_LOCAL_PART)) <= MAX_CHARS:
            return EmailResult(email)
    return _validate_fully(text)


def extract_address(text: str) -> str:
    """Return the address inside a text: without what surrounds it, a `mailto:`, or the name of `Name <address>`.

    A name that holds another address is left in place: which of the two is meant cannot be known.
    """
    text = _strip_mailto(trimmed(text))
    named = _NAMED.fullmatch(text)
    if named is None:
        return text
    name, address = trimmed(named[1]).strip("\"'"), _strip_mailto(trimmed(named[2]))
    return (
        text if _HAS_ADDRESS.search(name) and not _equal_ignoring_ascii_case(_strip_mailto(name), address) else address
    )


def _equal_ignoring_ascii_case(text: str, other: str) -> bool:
    """Whether two texts differ in the case of ASCII letters at most."""
    return text == other or (text.isascii() and other.isascii() and text.lower() == other.lower())


def canonical(text: str) -> str:
    """Return the form in which all spellings of an address are equal: as it is sent. For vendors' responses.

    A text that could not be sent is returned as it is, so that it equals nothing that was.
    """
    text = trimmed(text)
    return text.lower() if text.isascii() else validate(text).email or text


def unicode_domain(domain: str) -> str:
    """Return the Unicode form of a domain that `judge` has returned."""
    checked = _run_validator(f"{SAMPLE_LOCAL_PART}@{domain}")
    return domain if checked is None else str(checked.domain)


def _strip_mailto(text: str) -> str:
    """Return the address of a `mailto:` link (RFC 6068): percent-encoded, perhaps with header fields behind it."""
    link = _LINK.match(text)
    return text if link is None else trimmed(unquote(text[link.end() :].partition("?")[0]))


_local = re.compile(LOCAL).fullmatch


@lru_cache(maxsize=10_000)
def _validate_domain(domain: str) -> EmailResult:
    """The verdict on somebody at a domain: many share one, and an internationalised one takes long."""
    return _validate_fully(f"{SAMPLE_LOCAL_PART}@{domain}")


def _validate_fully(text: str) -> EmailResult:
    """email-validator's verdict. It composes letters (NFC), so it is asked about the local part as it was."""
    checked = _run_validator(text)
    if checked is None:
        return EmailResult(None, Reason.INVALID_EMAIL)
    if checked.ascii_email is None or not text.rpartition("@")[0].isascii():
        return EmailResult(None, Reason.NON_ASCII_EMAIL)
    return EmailResult(checked.ascii_email.lower())


def _run_validator(text: str) -> ValidatedEmail | None:
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - provider discovery imports vendors

    try:
        return validate_email(text, check_deliverability=False, allow_smtputf8=True, strict=True)
    except EmailNotValidError:
        return None
