"""Makes the addresses of a probe from a pattern of the user's: `me+{n}@my-domain.com -> me+1@my-domain.com, ...`."""

from __future__ import annotations

import re

from airflow_provider_segexport.email_address import validate
from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.http.base_url import is_loopback
from airflow_provider_segexport.vendors.probe import MAX_ADDRESSES

PLACEHOLDER = "{n}"

EXAMPLE_DOMAIN = re.compile(r"(?:.*\.)?(?:example\.(?:com|net|org|edu)|example|test|invalid|localhost|local)")
"""Domains that belong to no one (RFC 2606, RFC 6761)."""


def addresses(pattern: str, count: int, base_url: str) -> tuple[str, ...]:
    """Return the addresses of a pattern, with 1, 2 and so on for `{n}`.

    Args:
        pattern: an address with `{n}` before the `@`.
        count: number of addresses.
        base_url: base URL of the vendor's API. Example domains are accepted only at a simulator on this machine.

    Raises:
        InvalidArgument: the pattern cannot be used, or there would be more than `MAX_ADDRESSES`.
    """
    local, _, domain = pattern.strip().rpartition("@")
    if pattern.count(PLACEHOLDER) != 1 or PLACEHOLDER not in local:
        raise InvalidArgument(
            f"`--address` must have {PLACEHOLDER} once, before the @, so that a probe can make several addresses of "
            "it. To fix: write an address whose mails you receive, such as 'me+{n}@my-domain.com'."
        )
    if not re.search("[A-Za-z]", local.replace(PLACEHOLDER, "")):
        raise InvalidArgument(
            "`--address` has no letter before the @, and a question changes letters to upper case. To fix: write an "
            "address such as 'me+{n}@my-domain.com'."
        )
    if count > MAX_ADDRESSES:
        raise InvalidArgument(
            f"A probe takes at most {MAX_ADDRESSES} addresses, and this one would take {count}. To fix: ask fewer "
            "questions, by `--only`."
        )
    _check_domain(domain, base_url)
    validated = [validate(pattern.strip().replace(PLACEHOLDER, str(number))).email for number in range(1, count + 1)]
    emails = [email for email in validated if email is not None]
    if len(emails) != count:
        raise InvalidArgument(
            "`--address` is no valid email address. To fix: write an address such as 'me+{n}@my-domain.com'."
        )
    _check_domain(emails[0].rpartition("@")[2] if emails else domain, base_url)  # in the spelling of exports
    return tuple(emails)


def _check_domain(domain: str, base_url: str) -> None:
    """Check that a domain is no example domain, except at a simulator.

    Raises:
        InvalidArgument: it is an example domain.
    """
    if not is_loopback(base_url) and EXAMPLE_DOMAIN.fullmatch(domain.lower()):
        raise InvalidArgument(
            f"The domain {domain!r} in `--address` is an example and belongs to no one. To fix: write an address of "
            "your own, whose mails you receive."
        )
