"""Resolves an audience that the user names by id or by name to the vendor's id and description."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import AudienceNotFound, InvalidArgument
from airflow_provider_segexport.model import Audience, Operation, T
from airflow_provider_segexport.vendors.directory import MAX_NEW_NAME_CHARS, AudienceEntry, matches, name_in, near
from airflow_provider_segexport.vendors.directory import shown_name as shown

if TYPE_CHECKING:
    from airflow_provider_segexport.vendors.auth import ApiEndpoint
    from airflow_provider_segexport.vendors.base import Vendor


MISSING_ID = "0"
"""Placeholder id for an audience that does not exist yet. A run plans its items with it; no vendor uses this id."""


class RunOperation(Protocol):
    """Runs one operation of a vendor and returns its result."""

    def __call__(self, operation: Operation[T]) -> T:
        """Run the operation."""


def resolve_audience(vendor: Vendor, endpoint: ApiEndpoint, audience: str | None, run: RunOperation) -> Audience:
    """Return the account and the audience as the vendor reports them.

    Args:
        vendor: the vendor of the account.
        endpoint: the API endpoint of the account.
        audience: the vendor's id, or `name:` and the exact name; None for the account alone.
        run: runs an operation. Each read is an operation of its own, because one operation may not repeat a read.

    Raises:
        AudienceNotFound: the account has no such audience.
        InvalidArgument: the name is empty, or several audiences have it.
    """
    name = name_in(audience)
    if name is None:
        return run(vendor.resolve_audience(endpoint, audience))
    check_name(vendor, name)
    if vendor.directory is None:  # the name is the id
        return run(vendor.resolve_audience(endpoint, name))
    account = run(vendor.resolve_audience(endpoint, None))
    entries = run(vendor.directory.list_audiences(account, False))  # noqa: FBT003 - a callable's argument
    entry = find(vendor, account, entries, name)
    if entry is None:
        raise not_found(vendor, account, entries, name)
    return run(vendor.resolve_audience(endpoint, entry.id))


def check_name(vendor: Vendor, name: str, *, is_new: bool = False) -> None:
    """Reject a name that no audience can have, or that an export would not give to a new audience.

    Args:
        vendor: the vendor of the audience.
        name: the name without the prefix `name:`.
        is_new: the audience does not exist yet.

    Raises:
        InvalidArgument: the name is empty, too long, or has control characters.
    """
    limit = vendor.directory.max_name_chars if vendor.directory is not None else None
    problem = ""
    if not name.strip():
        problem = "is empty"
    elif limit is not None and len(name) > limit:
        problem = f"has {counted(len(name), 'character')}, and {vendor.title} takes {limit}"
    elif is_new and len(name) > MAX_NEW_NAME_CHARS:
        problem = f"has {counted(len(name), 'character')}, and an export creates none of more than {MAX_NEW_NAME_CHARS}"
    elif not all(char.isprintable() or unicodedata.category(char) == "Zs" for char in name):
        problem = "holds a line break, a tab or another control character"
    if problem:
        raise InvalidArgument(
            f"The name of the {vendor.audience_noun} in `audience` {problem}. Nothing was sent. To fix: write "
            "`name:` and the exact name, for example `name:Newsletter`."
        )


def find(vendor: Vendor, account: Audience, entries: Sequence[AudienceEntry], name: str) -> AudienceEntry | None:
    """Return the audience with exactly this name; None if there is none.

    Args:
        vendor: the vendor of the account.
        account: the account as the vendor reports it.
        entries: all audiences of the account.
        name: the exact name, without the prefix `name:`.

    Raises:
        InvalidArgument: several audiences have the name.
    """
    exact = matches(entries, name)
    if len(exact) > 1:
        ids = " and ".join(sorted(entry.id for entry in exact))
        raise InvalidArgument(
            f"{vendor.title} account {account.account_name!r} has {counted(len(exact), vendor.audience_noun)} named "
            f"{shown(name)}: {ids}. Nothing was sent, because the name does not say which is meant. To fix: give one "
            f"of these ids instead of the name, or rename one {vendor.audience_noun} at {vendor.title}."
        )
    return exact[0] if exact else None


def not_found(vendor: Vendor, account: Audience, entries: Sequence[AudienceEntry], name: str) -> AudienceNotFound:
    """Return the error for a name that no audience has; it names the audiences with the most similar names.

    Args:
        vendor: the vendor of the account.
        account: the account as the vendor reports it.
        entries: all audiences of the account.
        name: the exact name, without the prefix `name:`.
    """
    alike = ", ".join(entry.shown for entry in near(entries, name))
    hint = f" The nearest of {len(entries):,}: {alike}." if alike else f" It has {len(entries):,}, none of them alike."
    return AudienceNotFound(
        f"{vendor.title} account {account.account_name!r} has no {vendor.audience_noun} named {shown(name)}.{hint} To "
        "fix: correct the name, whose upper and lower case and spaces count; `airflow segexport audiences` lists all "
        "names. An export with `create_audience=True` creates it."
    )


def describe_missing(vendor: Vendor, account: Audience, name: str, run: RunOperation) -> Audience:
    """Return an audience as it will be after its creation. Its id is `MISSING_ID`.

    Args:
        vendor: the vendor of the account.
        account: the account as the vendor reports it.
        name: the name of the audience.
        run: runs an operation.
    """
    described = run(vendor.directory.describe_new(account)) if vendor.directory is not None else account
    return replace(described, audience=MISSING_ID, audience_name=name, member_count=0)


def is_missing(audience: Audience) -> bool:
    """Return whether an audience is one that does not exist yet."""
    return audience.audience == MISSING_ID
