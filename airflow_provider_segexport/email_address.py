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
SPECIAL = ("arpa", "invalid", "local", "localhost", "onion", "test")
LONGEST, LONGEST_OF_ALL = 63, 254

SOMEBODY = "a"

WHITESPACE = TRIMMED
"""What surrounds addresses that were copied from documents; trimmed."""

_LINK = re.compile(r"mailto:(?://)?", re.IGNORECASE | re.ASCII)
_NAMED = re.compile(r"([^<>]*)<([^<>]*)>")
_HAS_ADDRESS = re.compile(r"\S@\S")


def plain(column: str) -> str:
    """SQL that tells a plain address, in any case. Such an address is ASCII, so `lower` is its only change."""
    special = "|".join("".join(f"[{sign}{sign.upper()}]" for sign in name) for name in SPECIAL)
    matches = f"regexp_full_match({column}, '{PLAIN}') and not regexp_matches({column}, '\\.({special})$')"
    return f"(strlen({column}) <= {LONGEST} and {matches})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`email` as it is sent, or the reason why it is not."""

    email: str | None
    reason: Reason | None = None


def judge(text: str) -> Verdict:
    """Return the verdict on a text as it stands in a file: `Jane <Jane@Example.com>` is `jane@example.com`.

    An internationalised domain is sent in its ASCII form, which reaches the same mailbox. A local part outside ASCII
    is rejected: it needs SMTPUTF8 all the way, and none of the vendors documents that it takes one. It is rejected
    before its case or its Unicode form is changed, because both can turn it into an ASCII address of somebody else.
    """
    text = bare(text)
    local, _, domain = text.rpartition("@")
    if not local:
        return Verdict(None, Reason.INVALID_EMAIL)
    if len(text) <= LONGEST and _local(local):
        alike = _at(domain)
        if alike.email is None:
            return alike
        if len(email := local.lower() + alike.email.removeprefix(SOMEBODY)) <= LONGEST_OF_ALL:
            return Verdict(email)
    return _judged(text)


def bare(text: str) -> str:
    """Return the address inside a text: without what surrounds it, a `mailto:`, or the name of `Name <address>`.

    A name that holds another address is left in place: which of the two is meant cannot be known.
    """
    text = _unlinked(trimmed(text))
    named = _NAMED.fullmatch(text)
    if named is None:
        return text
    name, address = trimmed(named[1]).strip("\"'"), _unlinked(trimmed(named[2]))
    return text if _HAS_ADDRESS.search(name) and not _equal(_unlinked(name), address) else address


def _equal(text: str, other: str) -> bool:
    """Whether two texts differ in the case of ASCII letters at most."""
    return text == other or (text.isascii() and other.isascii() and text.lower() == other.lower())


def same(text: str) -> str:
    """Return the form in which all spellings of an address are equal: as it is sent. For vendors' responses.

    A text that could not be sent is returned as it is, so that it equals nothing that was.
    """
    text = trimmed(text)
    return text.lower() if text.isascii() else judge(text).email or text


def unicode_domain(domain: str) -> str:
    """Return the Unicode form of a domain that `judge` has returned."""
    checked = _checked(f"{SOMEBODY}@{domain}")
    return domain if checked is None else str(checked.domain)


def _unlinked(text: str) -> str:
    """Return the address of a `mailto:` link (RFC 6068): percent-encoded, perhaps with header fields behind it."""
    link = _LINK.match(text)
    return text if link is None else trimmed(unquote(text[link.end() :].partition("?")[0]))


_local = re.compile(LOCAL).fullmatch


@lru_cache(maxsize=10_000)
def _at(domain: str) -> Verdict:
    """The verdict on somebody at a domain: many share one, and an internationalised one takes long."""
    return _judged(f"{SOMEBODY}@{domain}")


def _judged(text: str) -> Verdict:
    """email-validator's verdict. It composes letters (NFC), so it is asked about the local part as it was."""
    checked = _checked(text)
    if checked is None:
        return Verdict(None, Reason.INVALID_EMAIL)
    if checked.ascii_email is None or not text.rpartition("@")[0].isascii():
        return Verdict(None, Reason.NON_ASCII_EMAIL)
    return Verdict(checked.ascii_email.lower())


def _checked(text: str) -> ValidatedEmail | None:
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - provider discovery imports vendors

    try:
        return validate_email(text, check_deliverability=False, allow_smtputf8=True, strict=True)
    except EmailNotValidError:
        return None
