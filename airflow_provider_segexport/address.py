"""Email syntax: one pattern for the plain addresses, email-validator for all others, with the same verdict.

The pattern takes a subset of what email-validator takes, and changes nothing in it (a test holds that with fuzzed
addresses), so that only the few that are not plain cost a call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from airflow_provider_segexport.model import Reason
from airflow_provider_segexport.trimming import TRIMMED

# No two hyphens in a row (punycode), no special-use domain (RFC 6761). A label or a local part holds 63 characters, so
# that an address that is no longer as a whole needs no look at its parts.
LOCAL = r"[a-z0-9_%+]+([.-][a-z0-9_%+]+)*"
PLAIN = LOCAL + r"@([a-z0-9]+(-[a-z0-9]+)*\.)+[a-z]{2,24}"
SPECIAL = ("arpa", "invalid", "local", "localhost", "onion", "test")
LONGEST, LONGEST_OF_ALL = 63, 254

SOMEBODY = "a"

WHITESPACE = TRIMMED
"""What surrounds addresses that were copied from documents; trimmed."""


def plain(column: str) -> str:
    """SQL that tells a plain address, in lower case already."""
    special = " or ".join(f"ends_with({column}, '.{name}')" for name in SPECIAL)
    return f"(strlen({column}) <= {LONGEST} and regexp_full_match({column}, '{PLAIN}') and not ({special}))"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`email` as it is sent, or the reason why it is not."""

    email: str | None
    reason: Reason | None = None


def judge(text: str) -> Verdict:
    """The verdict on a trimmed, lower-case text.

    An internationalised domain is sent in its ASCII form, which reaches the same mailbox. A local part outside ASCII
    is rejected: it needs SMTPUTF8 all the way, and none of the vendors documents that it takes one.
    """
    if "@" not in text:
        return Verdict(None, Reason.BAD_EMAIL)
    local, _, domain = text.rpartition("@")
    if len(text) <= LONGEST and _local(local):
        alike = _at(domain)
        if alike.email is None:
            return alike
        if len(found := local + alike.email.removeprefix(SOMEBODY)) <= LONGEST_OF_ALL:
            return Verdict(found)
    return _judged(text)


_local = re.compile(LOCAL).fullmatch


@lru_cache(maxsize=10_000)
def _at(domain: str) -> Verdict:
    """The verdict on somebody at a domain: many share one, and an internationalised one takes long."""
    return _judged(f"{SOMEBODY}@{domain}")


def _judged(text: str) -> Verdict:
    """email-validator's verdict."""
    try:
        found = validate_email(text, check_deliverability=False, allow_smtputf8=True, strict=True)
    except EmailNotValidError:
        return Verdict(None, Reason.BAD_EMAIL)
    if found.ascii_email is None:
        return Verdict(None, Reason.NON_ASCII_EMAIL)
    return Verdict(found.ascii_email.lower())
