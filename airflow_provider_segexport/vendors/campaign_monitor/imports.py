"""Campaign Monitor: subscribers in, verdicts out."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_segexport.email_address import same
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

# `Resubscribe` stays false: true would bring back people who unsubscribed. Both autoresponder flags are false by
# default at the vendor; they are said so that a change of its default sets off no mail.
NO_AUTORESPONDERS = '"QueueSubscriptionBasedAutoresponders":false,"RestartSubscriptionBasedAutoresponders":false}'
BODY_SUFFIX = f'],"Resubscribe":false,{NO_AUTORESPONDERS}'
RESUBSCRIBE_SUFFIX = f'],"Resubscribe":true,{NO_AUTORESPONDERS}'  # of `revival`, and of nothing else

PARTIAL_SUCCESS = 210

WHOLE_BATCH_CODES = {209, 212, 400}  # too many rows, none, or one malformed item that fails all of them

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


def item_template(matched: MappedFields, audience: Audience) -> JsonTemplate:
    """One subscriber. The only name field is `Name`; everything else is a custom field of the list."""
    list_members: dict[str, Node] = {"EmailAddress": Column("email")}
    names = tuple(f for f in ("full_name", "first_name", "last_name") if f in matched.fields)
    if names:
        list_members["Name"] = Joined(names)
    pairs = [(rule.key, rule.field) for rule in FIELD_RULES if rule.custom and rule.field in matched.fields]
    pairs += [(custom.name, custom.column) for custom in matched.custom]
    if pairs:
        list_members["CustomFields"] = Array(
            tuple(custom_field_item(audience.fields[name.lower()], column) for name, column in pairs)
        )
    # Mandatory for single adds since v3.2 (codes 214, 215); sent always, so that nobody's choice is changed.
    list_members["ConsentToTrack"] = Const("Unchanged")
    return JsonTemplate(list_members)


def custom_field_item(into: VendorField, column: str) -> JsonTemplate:
    """A custom field's value. Several options of a multi-select field travel as one pair each, all with its key."""
    key = {"Key": Const(into.key)}
    if not into.separator:
        return JsonTemplate({**key, "Value": Column(column)})
    between = f'"}},{{"Key":{json.dumps(into.key)},"Value":"'
    return JsonTemplate({**key, "Value": Column(column, split=(into.separator, between))})


def upsert(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Import up to 1000 subscribers, without bringing anybody back."""
    return (yield from import_batch(audience, batch, BODY_SUFFIX))


def import_batch(audience: Audience, batch: Batch, tail: str) -> Operation[BatchResult]:
    """One import. 400 with code 210 is a partial success: the other rows are in."""
    url = f"{audience.base_url}/subscribers/{audience.audience}/import.json"
    response = yield send_batch("POST", url, '{"Subscribers":[', batch, tail)
    if response.status in {200, 201}:
        return batch_result(response.mapping(), batch)
    if response.status == 400:  # noqa: PLR2004
        code, words = error_of(response)
        if code == PARTIAL_SUCCESS:
            return batch_result(as_object(response.mapping().get("ResultData")), batch)
        if code in WHOLE_BATCH_CODES:
            raise BatchRejected(str(code), words)
    raise_for(response)


def batch_result(result: dict[str, Any], batch: Batch) -> BatchResult:
    """`FailureDetails` names those who were not taken; all others were.

    Without it the counters tell whether all were taken. Otherwise, and for a failure without an address, the rows are
    found by reading the list back.
    """
    failures = result.get("FailureDetails")
    if not isinstance(failures, list):
        taken = [as_int(result.get(name)) or 0 for name in ("TotalNewSubscribers", "TotalExistingSubscribers")]
        return BatchResult(unattributed=0 if sum(taken) == len(batch) else len(batch))
    unnamed = 0
    index = index_by_email(batch) if failures else {}
    refused: dict[int, RowRejection] = {}
    for failure in map(as_object, failures):
        email = as_text(failure.get("EmailAddress"))
        at = index.get(same(email))
        if not email:
            unnamed += 1
            continue
        if at is None:
            raise UnexpectedResponse("Campaign Monitor refused a subscriber who is not in the batch it was sent.")
        code = code_of(failure)
        reason = REASONS.get(code, Reason.REJECTED_BY_VENDOR)
        refused[at] = RowRejection(at, reason, str(code or ""), as_text(failure.get("Message")))
    return BatchResult(rejected=tuple(refused.values()), unattributed=min(unnamed, len(batch) - len(refused)))
