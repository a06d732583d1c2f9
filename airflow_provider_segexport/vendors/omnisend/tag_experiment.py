"""Omnisend: tests on one person whether an upsert's tags are merged with a contact's tags or replace them.

The experiment sends the person twice, with the same call as an export, each time with the audience's tag and a
different temporary tag. If the contact then has both temporary tags, tags are merged. No other call adds these two
tags, so a concurrent experiment of another run on the same person cannot falsify the result.
"""

from __future__ import annotations

import json
import secrets

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.errors import VendorUnavailable
from airflow_provider_segexport.model import Audience, Batch, JobState, Operation, Sleep
from airflow_provider_segexport.vendors.experiment import TEMPORARY_PREFIX, UNKNOWN, Experiment, Notes
from airflow_provider_segexport.vendors.omnisend.imports import (
    BODY_PREFIX,
    BODY_SUFFIX,
    SUCCESS,
    batch_result,
    job_state,
    read_batch,
)
from airflow_provider_segexport.vendors.omnisend.members import email_of
from airflow_provider_segexport.vendors.omnisend.responses import API_VERSION, raise_for, read_json, versioned
from airflow_provider_segexport.vendors.omnisend.tags import FACT, MERGE, REPLACE, change_tags, tags_of_item
from airflow_provider_segexport.vendors.responses import as_object, get, required_id, required_list, send_batch

CANDIDATES = 10
"""Maximum people whose tags are read to choose a person without tags of others; each read takes one call."""

POLL_WAITS_S = (0.5, 1.0, 2.0, 5.0, 10.0, *([20.0] * 15))
"""Seconds before each poll of a batch of one person; about five minutes in total."""

LOOK_WAITS_S = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds before each read of a contact's tags after a batch has ended."""

RESTORE_WAITS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
"""Seconds before each read of tags that `/contacts/tags` has added; they may appear only after half a minute."""


def choose(audience: Audience, batch: Batch, tried: frozenset[int]) -> Operation[Notes | None]:
    """Choose a person of the batch, preferably a contact without tags of others, because it can lose no tags.

    Skip a person with a temporary tag: another run's experiment is using the person, so tags of others may be missing
    at the moment, and the undo could not restore them.

    Args:
        audience: names the brand and the tag.
        batch: planned rows.
        tried: indexes of rows on which the experiment gave no result.

    Returns:
        Index, address, tags and names of the temporary tags; None if no person is suitable.
    """
    spare: Notes | None = None
    for index in [index for index in range(len(batch)) if index not in tried][:CANDIDATES]:
        email = batch.emails[index]
        tags = yield from read_tags(audience, email)
        if tags is None or any(tag.startswith(TEMPORARY_PREFIX) for tag in tags):
            continue
        before = sorted(tags)
        mark = secrets.token_hex(6)
        notes = Notes(index, email, tuple(before), tuple(f"{TEMPORARY_PREFIX}{mark} {at}" for at in "12"))
        if set(before) <= {audience.audience}:
            return notes
        spare = spare or notes
    return spare


def run(audience: Audience, batch: Batch, notes: Notes) -> Operation[str | None]:
    """Send the person once with each temporary tag, then read the person's tags.

    Args:
        audience: names the brand and the tag.
        batch: holds the person's item.
        notes: the result of `choose`.

    Returns:
        `merge`, `replace` or `unknown`; None if the vendor did not accept the person.
    """
    item = batch.items[notes.index]
    first, last = notes.temporary
    for temporary in (first, last):
        accepted = yield from upsert_one(audience, notes.email, with_tags(audience, item, temporary))
        if not accepted:
            return None
    for wait in LOOK_WAITS_S:
        yield Sleep(wait)
        tags = yield from read_tags(audience, notes.email)
        if tags is not None and last in tags:
            break
    else:
        return UNKNOWN
    if first not in tags:
        return REPLACE
    return MERGE if {*notes.before, audience.audience} <= tags else UNKNOWN


def undo(audience: Audience, notes: Notes) -> Operation[None]:
    """Restore the tags that the person had, and remove the temporary tags.

    Raises:
        VendorUnavailable: the vendor does not return the restored tags within three minutes.
    """
    before = set(notes.before)
    tags = yield from read_tags(audience, notes.email)
    current = tags is not None and notes.temporary[-1] in tags
    restores = bool(before) and not (current and tags is not None and before <= tags)
    if restores:
        yield from change_tags("POST", audience, sorted(before), [notes.email])
    yield from change_tags("DELETE", audience, notes.temporary, [notes.email])
    if not restores:
        return
    for wait in RESTORE_WAITS_S:
        yield Sleep(wait)
        tags = yield from read_tags(audience, notes.email)
        if tags is not None and before <= tags:
            return
        yield from change_tags(
            "POST", audience, sorted(before), [notes.email]
        )  # another run's upsert may have replaced them
    raise VendorUnavailable(
        "Omnisend does not return the tags that a contact had before the experiment with tags. The next attempt "
        "restores them again. To fix: retry the task."
    )


def with_tags(audience: Audience, item: str, temporary: str) -> str:
    """Return an item with the audience's tag and a temporary tag.

    Args:
        audience: names the tag.
        item: the planned item as JSON.
        temporary: name of the temporary tag.
    """
    planned = tags_of_item(audience)
    return item.replace(planned, f"{planned[:-1]},{json.dumps(temporary)}]")


def upsert_one(audience: Audience, email: str, item: str) -> Operation[bool]:
    """Send a batch of one item, wait until it has ended, and return whether the item was accepted.

    Args:
        audience: names the brand.
        email: the person's address.
        item: the item as JSON.

    Raises:
        VendorUnavailable: the batch does not end within five minutes, or no longer exists.
    """
    batch = Batch("experiment", [0], [email], [item])
    response = yield versioned(send_batch("POST", f"{audience.base_url}/batches", BODY_PREFIX, batch, BODY_SUFFIX))
    if response.status in {400, 413}:
        return False
    if response.status not in SUCCESS:
        raise_for(response)
    job_id = required_id(response.mapping(), "batchID")
    for wait in POLL_WAITS_S:
        yield Sleep(wait)
        content = yield from read_batch(audience, f"{job_id}/items")
        if content is None:
            break
        if job_state(audience, content) is not JobState.RUNNING:
            result = batch_result(content, batch)
            return not (result.rejected or result.retry)
    raise VendorUnavailable(
        f"The batch {job_id} of one contact has not ended at Omnisend within five minutes. To fix: retry the task."
    )


def read_tags(audience: Audience, email: str) -> Operation[set[str] | None]:
    """Return a contact's tags, empty if no contact has the address; None if the response is unclear."""
    page = as_object(read_json((yield versioned(get(f"{audience.base_url}/contacts", email=email)))))
    contacts = [
        contact for contact in required_list(page.get("contacts"), "contacts") if canonical(email_of(contact)) == email
    ]
    tags = contacts[0].get("tags") if contacts else []
    if len(contacts) > 1 or not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return None
    return set(tags)


EXPERIMENT = Experiment(
    fact=FACT,
    values=frozenset({MERGE, REPLACE}),
    api_version=API_VERSION,
    choose=choose,
    run=run,
    undo=undo,
)
