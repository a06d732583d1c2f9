"""The only definition of an email address: how a text is read, when it is valid, and when two spellings are equal.

It applies to every source of addresses: segments, suppression lists, requests about a person, and vendors' responses. A
pattern reads plain addresses, and email-validator all others. The pattern accepts a subset of what email-validator
accepts, and changes nothing but the case (a test compares the two with fuzzed addresses).
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

# No two hyphens in a row (punycode), no special-use domain (RFC 6761). Both cases are spelled out, because a pattern
# that ignores case accepts the Kelvin sign (U+212A) as a k, which would be another person's address.
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
"""The characters that are trimmed from both ends of an address."""

_MAILTO = re.compile(r"mailto:(?://)?", re.IGNORECASE | re.ASCII)
_NAME_AND_ADDRESS = re.compile(r"([^<>]*)<([^<>]*)>")
_HAS_ADDRESS = re.compile(r"\S@\S")


def plain_sql(column: str) -> str:
    """Return SQL of whether a column holds a plain address, in any case. `lower` turns it into the address as sent."""
    special = "|".join("".join(f"[{sign}{sign.upper()}]" for sign in name) for name in SPECIAL_DOMAINS)
    matches = f"regexp_full_match({column}, '{PLAIN}') and not regexp_matches({column}, '\\.({special})$')"
    return f"(strlen({column}) <= {MAX_PLAIN_CHARS} and {matches})"


@dataclass(frozen=True, slots=True)
class EmailResult:
    """The address as it is sent, or the reason why it cannot be sent."""

    email: str | None
    reason: Reason | None = None


def validate(text: str) -> EmailResult:
    """Read the address in a text: `Jane <Jane@Example.com>` becomes `jane@example.com`.

    An internationalised domain is sent in its ASCII form, which reaches the same mailbox. A local part outside ASCII
    is rejected, because it needs SMTPUTF8 along the whole route, and no vendor documents that it accepts one. It is
    rejected before its case or its Unicode form is changed, because both can turn it into another person's address.
    """
    text = extract_address(text)
    local, _, domain = text.rpartition("@")
    if not local:
        return EmailResult(None, Reason.INVALID_EMAIL)
    if len(text) <= MAX_PLAIN_CHARS and _local(local):
        sample = _validate_domain(domain)
        if sample.email is None:
            return sample
        if len(email := local.lower() + sample.email.removeprefix(SAMPLE_LOCAL_PART)) <= MAX_CHARS:
            return EmailResult(email)
    return _validate_fully(text)


def extract_address(text: str) -> str:
    """Return the address inside a text, without surrounding characters, `mailto:` or the name of `Name <address>`.

    If the name holds another address, the text is returned as it is, because either of the two may be meant.
    """
    text = _strip_mailto(trimmed(text))
    named = _NAME_AND_ADDRESS.fullmatch(text)
    if named is None:
        return text
    name, address = trimmed(named[1]).strip("\"'"), _strip_mailto(trimmed(named[2]))
    return (
        text if _HAS_ADDRESS.search(name) and not _equal_ignoring_ascii_case(_strip_mailto(name), address) else address
    )


def _equal_ignoring_ascii_case(text: str, other: str) -> bool:
    """Return whether two texts are equal, or ASCII and equal without case."""
    return text == other or (text.isascii() and other.isascii() and text.lower() == other.lower())


def canonical(text: str) -> str:
    """Return the canonical form of an address in a vendor's response: as it is sent.

    A text that cannot be sent is returned as it is, so it equals no sent address.
    """
    text = trimmed(text)
    return text.lower() if text.isascii() else validate(text).email or text


def unicode_domain(domain: str) -> str:
    """Return the Unicode form of a domain that `validate` has returned."""
    checked = _run_validator(f"{SAMPLE_LOCAL_PART}@{domain}")
    return domain if checked is None else str(checked.domain)


def _strip_mailto(text: str) -> str:
    """Return the address of a `mailto:` link (RFC 6068): percent-encoded, perhaps with header fields behind it."""
    link = _MAILTO.match(text)
    return text if link is None else trimmed(unquote(text[link.end() :].partition("?")[0]))


_local = re.compile(LOCAL).fullmatch


@lru_cache(maxsize=10_000)
def _validate_domain(domain: str) -> EmailResult:
    """Validate a domain with a sample local part. Cached: many addresses share a domain, and IDNs are slow."""
    return _validate_fully(f"{SAMPLE_LOCAL_PART}@{domain}")


def _validate_fully(text: str) -> EmailResult:
    """Validate an address with email-validator. It normalises Unicode (NFC), so the original local part is checked."""
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
