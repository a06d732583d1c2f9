"""Campaign Monitor: item template and imports."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.errors import (
    BatchRejected,
    UnexpectedResponse,
)
from airflow_provider_segexport.model import (
    Audience,
    Batch,
    BatchReply,
    BatchResult,
    Operation,
    Reason,
    RowRejection,
)
from airflow_provider_segexport.vendor_field import VendorField
from airflow_provider_segexport.vendors.base import (
    MappedFields,
)
from airflow_provider_segexport.vendors.campaign_monitor.fields import FIELD_RULES
from airflow_provider_segexport.vendors.campaign_monitor.responses import (
    code_of,
    error_of,
    raise_for,
)
from airflow_provider_segexport.vendors.item_template import Array, Column, Const, Joined, JsonTemplate, Node
from airflow_provider_segexport.vendors.responses import (
    as_int,
    as_object,
    as_text,
    index_by_email,
    send_batch,
)

NO_AUTORESPONDERS = '"QueueSubscriptionBasedAutoresponders":false,"RestartSubscriptionBasedAutoresponders":false}'
"""Both flags are false by default. They are sent anyway, so no mail goes out if the vendor changes its defaults."""
BODY_SUFFIX = f'],"Resubscribe":false,{NO_AUTORESPONDERS}'
"""End of every import body except those of `resubscribe`. `Resubscribe: true` would resubscribe people."""
RESUBSCRIBE_SUFFIX = f'],"Resubscribe":true,{NO_AUTORESPONDERS}'
"""End of the import body in `resubscribe`. No other import uses it."""

PARTIAL_SUCCESS = 210

WHOLE_BATCH_CODES = {209, 212, 400}
"""Error codes that reject the entire batch: too many rows, no rows, one malformed item."""

REASONS = {
    1: Reason.INVALID_EMAIL,
    204: Reason.SUPPRESSED,
    205: Reason.DELETED,
    206: Reason.UNSUBSCRIBED,
    207: Reason.BOUNCED,
    208: Reason.PENDING_CONFIRMATION,
    220: Reason.INVALID_VALUE,
    221: Reason.INVALID_EMAIL,
}


def item_template(mapped: MappedFields, audience: Audience) -> JsonTemplate:
    """Build the template of a subscriber. All fields except `Name` are custom fields of the list."""
    members: dict[str, Node] = {"EmailAddress": Column("email")}
    names = tuple(field for field in ("full_name", "first_name", "last_name") if field in mapped.fields)
    if names:
        members["Name"] = Joined(names)
    pairs = [(rule.key, rule.field) for rule in FIELD_RULES if rule.custom and rule.field in mapped.fields]
    pairs += [(custom.name, custom.column) for custom in mapped.custom]
    if pairs:
        members["CustomFields"] = Array(
            tuple(custom_field_item(audience.fields[name.lower()], column) for name, column in pairs)
        )
    # Required for single adds since v3.2 (codes 214, 215). `Unchanged` keeps each person's choice.
    members["ConsentToTrack"] = Const("Unchanged")
    return JsonTemplate(members)


def custom_field_item(field: VendorField, column: str) -> JsonTemplate:
    """Build the item of a custom field. A multi-select field has one item per option, all with the same key."""
    key = {"Key": Const(field.key)}
    if not field.separator:
        return JsonTemplate({**key, "Value": Column(column)})
    between = f'"}},{{"Key":{json.dumps(field.key)},"Value":"'
    return JsonTemplate({**key, "Value": Column(column, split=(field.separator, between))})


def upsert(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Import up to 1000 subscribers without resubscribing anyone."""
    return (yield from import_batch(audience, batch))


def import_batch(audience: Audience, batch: Batch, *, resubscribe: bool = False) -> Operation[BatchResult]:
    """Import a batch. Status 400 with code 210 means partial success: all rows without an error were added.

    Args:
        audience: the list.
        batch: at most 1000 rows.
        resubscribe: make every person active, also one who has unsubscribed. The call is then not repeated without a
            new read of the people, because an attempt without a response may have made them active, and they may have
            unsubscribed since.
    """
    url = f"{audience.base_url}/subscribers/{audience.audience}/import.json"
    suffix = RESUBSCRIBE_SUFFIX if resubscribe else BODY_SUFFIX
    request = send_batch("POST", url, '{"Subscribers":[', batch, suffix)
    response = yield replace(request, repeatable=not resubscribe)
    if response.status in {200, 201}:
        return batch_result(response.mapping(), batch)
    if response.status == 400:  # noqa: PLR2004
        code, message = error_of(response)
        if code == PARTIAL_SUCCESS:
            return batch_result(as_object(response.mapping().get("ResultData")), batch)
        if code in WHOLE_BATCH_CODES:
            raise BatchRejected(str(code), message)
    raise_for(response)


def batch_result(result: dict[str, Any], batch: Batch) -> BatchResult:
    """Return the result of each row: `FailureDetails` lists the rejected rows, and all other rows were added.

    The counters show whether all other rows were added. If they were not, or if a failure has no address, the result
    counts these rows as unattributed, and the run reads the list back to identify them.
    """
    failures = result.get("FailureDetails")
    counts = [as_int(result.get(name)) for name in ("TotalNewSubscribers", "TotalExistingSubscribers")]
    added = None if None in counts else sum(count or 0 for count in counts)
    if not isinstance(failures, list):
        return BatchResult(unattributed=0 if added == len(batch) else len(batch))
    unattributed = 0
    index = index_by_email(batch) if failures else {}
    rejected: dict[int, RowRejection] = {}
    for failure in map(as_object, failures):
        email = as_text(failure.get("EmailAddress"))
        if not email:
            unattributed += 1
            continue
        row = index.get(canonical(email))
        if row is None:
            raise UnexpectedResponse(
                "Campaign Monitor rejected a subscriber who is not in the batch. To fix: report it to the "
                "vendor's support."
            )
        code = code_of(failure)
        reason = REASONS.get(code, Reason.REJECTED_BY_VENDOR)
        rejected[row] = RowRejection(row, reason, str(code or ""), as_text(failure.get("Message")))
    others = len(batch) - len(rejected)
    if added is not None:
        unattributed = max(unattributed, others - added)
    return BatchResult(rejected=tuple(rejected.values()), unattributed=min(unattributed, others))
