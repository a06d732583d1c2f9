"""Routes of lists and custom fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.clock import iso, local_iso
from airflow_provider_segexport.simulator.wire import BodyError, Call, Reply

from .errors import CONFLICT, api_refused, check_json_type, invalid, not_found
from .paging import page_link, page_size, position
from .records import ContactList, CustomField

if TYPE_CHECKING:
    from .activities import Activity, ActivityRoutes
    from .state import Account

Json = dict[str, object]

_KINDS = (
    "string",
    "text_area",
    "number",
    "currency",
    "date",
    "datetime",
    "boolean",
    "single_select",
    "multi_select",
)
_LABEL_LENGTH, _NAME_LENGTH, _MAX_FIELDS, _MAX_LISTS = 50, 255, 100, 1000  # swagger 3.0.178; lists: v2 docs
_MAX_DECIMALS = 4  # swagger 3.0.178
_DELETE_ROWS = _MAX_CHOICES = 100


def body_of(call: Call) -> Json:
    """Return the body's object; reject a body that is not a JSON object."""
    check_json_type(call)
    try:
        return call.json_object()
    except BodyError:
        raise invalid("Unrecognized request body: not a JSON object") from None


class ListRoutes:
    """The routes below /contact_lists, and the activity that deletes lists."""

    def __init__(self, account: Account, activities: ActivityRoutes) -> None:
        self._account = account
        self._activities = activities

    def all(self, call: Call) -> Reply:
        """Handle GET /contact_lists."""
        size = page_size(call, 500)  # swagger 3.0.178: the text says 500, the schema 1,000
        names = ("status", "name", "include_membership_count", "include_count")
        offset, filters = position(call, {name: call.query.get(name, "") for name in names})
        wanted = filters["status"].split(",") if filters["status"] else ["active"]
        matching = [
            contact_list
            for contact_list in self._account.lists.values()
            if ("all" in wanted or ("active" if contact_list.deleted is None else "deleted") in wanted)
            and filters["name"] in ("", contact_list.name)
        ]
        count = filters["include_membership_count"]
        body: Json = {"lists": [self._show(contact_list, count) for contact_list in matching[offset : offset + size]]}
        if filters["include_count"].lower() == "true":
            body["lists_count"] = len(matching)
        if offset + size < len(matching):
            body["_links"] = page_link("contact_lists", offset + size, size, filters)
        return Reply.json(body)

    def single(self, call: Call) -> Reply:
        """Handle GET /contact_lists/{list_id}."""
        return Reply.json(self._show(self._named(call), call.query.get("include_membership_count", "")))

    def create(self, call: Call) -> Reply:
        """Handle POST /contact_lists."""
        name = self._checked(body_of(call))
        active_lists = [other for other in self._account.lists.values() if other.deleted is None]
        if len(active_lists) >= _MAX_LISTS:
            raise invalid(f"The account has {_MAX_LISTS} lists")
        new_list = self._account.open_list(name, call.now)
        self._fill(new_list, body_of(call))
        return Reply.json(self._show(new_list, ""), 201)

    def change(self, call: Call) -> Reply:
        """Handle PUT /contact_lists/{list_id}."""
        target, body = self._named(call), body_of(call)
        target.name = self._checked(body, target)
        self._fill(target, body)
        target.updated = call.now
        return Reply.json(self._show(target, ""))

    def delete(self, call: Call) -> Reply:
        """Handle DELETE /contact_lists/{list_id}: delete the list with all memberships."""
        target = self._named(call)
        self._activities.check_room(call.now)
        return self._activities.created(self.drop(call, [target]), 202)

    def delete_many(self, call: Call) -> Reply:
        """Handle POST /activities/list_delete."""
        self._activities.check_room(call.now)
        ids = body_of(call).get("list_ids")
        if not isinstance(ids, list) or not 1 <= len(ids) <= _DELETE_ROWS:
            raise invalid(f"list_ids takes 1 to {_DELETE_ROWS} list ids")
        targets = [target for list_id in ids if (target := self._account.find_list(list_id))]
        return self._activities.created(self.drop(call, targets))

    def drop(self, call: Call, targets: list[ContactList]) -> Activity:
        """Queue an activity that deletes lists, and return it."""
        facts = call.facts

        def work(activity: Activity, moment: float) -> None:
            for target in targets:
                if target.deleted is None:
                    facts["memberships_deleted"] = self._account.drop_list(target, moment)
                    facts["lists_deleted"] = facts.get("lists_deleted", 0) + 1
            activity.status = {"items_total_count": len(targets), "items_completed_count": len(targets)}

        return self._activities.accept(call, len(targets), {}, work)

    def _named(self, call: Call) -> ContactList:
        target = self._account.find_list(call.params["list"])
        if target is None:
            raise not_found()
        return target

    def _checked(self, body: Json, itself: ContactList | None = None) -> str:
        name = body.get("name")
        if not isinstance(name, str) or not 1 <= len(name.strip()) <= _NAME_LENGTH:
            raise invalid(f"name takes 1 to {_NAME_LENGTH} characters")
        same = (h for h in self._account.lists.values() if h.deleted is None and h is not itself)
        if any(contact_list.name.lower() == name.strip().lower() for contact_list in same):
            # the swagger declares 409 for POST only
            raise api_refused(CONFLICT, "Validation failed: name is already used", 400 if itself else 409)
        return name.strip()

    @staticmethod
    def _fill(target: ContactList, body: Json) -> None:
        target.description = str(body.get("description") or "")
        target.favorite = body.get("favorite") is True

    @staticmethod
    def _show(contact_list: ContactList, count: str) -> Json:
        if count not in ("", "all", "active"):
            raise invalid("include_membership_count does not have a valid value")
        shown: Json = {
            "list_id": contact_list.id,
            "name": contact_list.name,
            "description": contact_list.description,
            "favorite": contact_list.favorite,
            "created_at": iso(contact_list.created),
            "updated_at": local_iso(contact_list.updated),
        }
        if contact_list.deleted is not None:
            shown["deleted_at"] = local_iso(contact_list.deleted)
        if count:
            shown["membership_count"] = contact_list.active if count == "active" else len(contact_list.members.numbers)
        return shown


class FieldRoutes:
    """The routes below /contact_custom_fields."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def all(self, call: Call) -> Reply:
        """Handle GET /contact_custom_fields."""
        size = page_size(call, 100)
        offset, filters = position(call, {})
        fields = list(self._account.fields.values())
        body: Json = {"custom_fields": [_shown(field) for field in fields[offset : offset + size]]}
        if offset + size < len(fields):
            body["_links"] = page_link("contact_custom_fields", offset + size, size, filters)
        return Reply.json(body)

    def create(self, call: Call) -> Reply:
        """Handle POST /contact_custom_fields."""
        body = body_of(call)
        label, kind = body.get("label"), body.get("type")
        if not isinstance(label, str) or not 1 <= len(label.strip()) <= _LABEL_LENGTH:
            raise invalid(f"label takes 1 to {_LABEL_LENGTH} characters")
        if kind not in _KINDS:
            raise invalid("type does not have a valid value")
        metadata = body.get("metadata")
        if isinstance(metadata, dict) and metadata.get("integer") is False:
            decimals = metadata.get("decimal_places")
            if not isinstance(decimals, int) or not 1 <= decimals <= _MAX_DECIMALS:
                raise invalid(f"metadata.decimal_places must be between 1 and {_MAX_DECIMALS}")
        field = CustomField(
            self._account.ids.guid(),
            label.strip(),
            str(kind),
            call.now,
            metadata if isinstance(metadata, dict) else {},
            _choices(body),
            version if isinstance(version := body.get("version"), int) else 2,
        )
        names = {name.lower() for name in self._account.fields}
        if field.name.lower() in names:
            raise api_refused(CONFLICT, f"A custom field with the label {field.label} exists", 409)
        if len(names) >= _MAX_FIELDS:
            raise invalid(f"The account has {_MAX_FIELDS} custom fields")
        self._account.add_field(field)
        return Reply.json(_shown(field), 201)

    def delete(self, call: Call) -> Reply:
        """Handle DELETE /contact_custom_fields/{custom_field_id}; the reply is 204 (swagger 3.0.178)."""
        matching = [field for field in self._account.fields.values() if field.id == call.params["field"]]
        if not matching:
            raise not_found()
        del self._account.fields[matching[0].name]
        call.count("fields_deleted")
        return Reply(204)


def _choices(body: Json) -> tuple[str, ...]:
    given = body.get("choices")
    rows = given if isinstance(given, list) else []
    labels = tuple(str(row["choice_label"]) for row in rows if isinstance(row, dict) and "choice_label" in row)
    if str(body.get("type")).endswith("_select") and not labels:
        raise invalid("choices are required for a select field")
    if len(labels) > _MAX_CHOICES:
        raise invalid(f"choices takes at most {_MAX_CHOICES} choices")
    return labels


def _shown(field: CustomField) -> Json:
    shown: Json = {
        "custom_field_id": field.id,
        "label": field.label,
        "name": field.name,
        "type": field.kind,
        "metadata": field.metadata,
        "created_at": iso(field.created),
        "updated_at": iso(field.created),
    }
    if field.kind in ("date", "datetime"):
        shown["version"] = field.version
    if field.choices:
        shown["choices"] = [
            {"choice_id": number, "choice_label": label, "display_order": number}
            for number, label in enumerate(field.choices, start=1)
        ]
    return shown
