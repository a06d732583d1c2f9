"""Contract for listing and creating audiences, and helpers that find an audience by name."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from airflow_provider_segexport.errors import clean_text
from airflow_provider_segexport.model import Audience, Operation

NAME_PREFIX = "name:"
"""Prefix of an `audience` argument that holds a name instead of an id."""

MAX_NEAR_NAMES = 3
MAX_NEW_NAME_CHARS = 255
"""Longest name that an export gives to a new audience. It is the highest limit that any vendor documents (Constant
Contact). An existing audience with a longer name can be used."""

MAX_SHOWN_CHARS = 80
"""Maximum characters of a name in a message. Names may have 255 characters or more."""


@dataclass(frozen=True, slots=True)
class AudienceEntry:
    """One audience in a vendor's list of audiences.

    Attributes:
        id: the vendor's id.
        name: the name, in the vendor's spelling.
        member_count: people in the audience; None if the list does not say.
    """

    id: str
    name: str
    member_count: int | None = None

    @property
    def shown(self) -> str:
        """Return name and id for a message."""
        return f"{shown_name(self.name)} ({self.id})"


def no_fields(account: Audience) -> Operation[Audience]:
    """Default of `describe_new`: a new audience has no custom fields."""
    return account
    yield  # a generator, as every operation is


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceDirectory:
    """Lists and creates audiences of an account. The account is what `Vendor.resolve_audience` returns for None.

    Attributes:
        list_audiences: returns the audiences. The flag requests member counts, which may take one call per audience.
        create: creates an audience with a name and returns its id. The call is never repeated.
        describe_new: returns the account with the custom fields that a new audience will have.
        max_name_chars: longest name; None if the vendor publishes no limit.
    """

    list_audiences: Callable[[Audience, bool], Operation[list[AudienceEntry]]]
    create: Callable[[Audience, str], Operation[str]]
    describe_new: Callable[[Audience], Operation[Audience]] = no_fields
    max_name_chars: int | None = None


def name_in(audience: str | None) -> str | None:
    """Return the name in an `audience` of the form `name:Newsletter`; None for an id."""
    return audience.removeprefix(NAME_PREFIX) if audience and audience.startswith(NAME_PREFIX) else None


def same_name(first: str, second: str) -> bool:
    """Return whether two names are the same. Case and spaces count; the two Unicode forms of `é` are equal."""
    return unicodedata.normalize("NFC", first) == unicodedata.normalize("NFC", second)


def matches(entries: Sequence[AudienceEntry], name: str) -> list[AudienceEntry]:
    """Return the audiences with exactly this name."""
    return [entry for entry in entries if same_name(entry.name, name)]


def near(entries: Sequence[AudienceEntry], name: str) -> list[AudienceEntry]:
    """Return up to `MAX_NEAR_NAMES` audiences with similar names, the most similar first."""
    by_form: dict[str, AudienceEntry] = {}
    for entry in entries:
        by_form.setdefault(_form(entry.name), entry)
    return [by_form[form] for form in get_close_matches(_form(name), by_form, MAX_NEAR_NAMES)]


def shown_name(name: str) -> str:
    """Return a name for a message or a table: quoted, printable, on one line, and cut to `MAX_SHOWN_CHARS`."""
    return repr(clean_text(name, MAX_SHOWN_CHARS) if not name.isprintable() else name[:MAX_SHOWN_CHARS])


def _form(name: str) -> str:
    """Return the form of a name by which similar names are compared: case-folded, NFKC, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", name[:MAX_SHOWN_CHARS]).casefold().split())
