"""Runs probes against the simulator, and every answer that each question can have with the settings that cause it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from vendors.harness import VendorHarness

from airflow_provider_segexport.model import Request, Response
from airflow_provider_segexport.probe import addresses, engine, planning
from airflow_provider_segexport.probe.report import ProbeReport
from airflow_provider_segexport.vendors.operations import run_operation
from airflow_provider_segexport.vendors.registry import VENDORS

PATTERN = "me+{n}@my-domain.example"

WITH_PROBE = [name for name, vendor in VENDORS.items() if vendor.probe]
"""Vendors with questions; a vendor may have none."""

CONFIRMED = "Newsletter, double opt-in"

ANSWERS: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "campaign_monitor": {
        "confirmed_opt_in": {"active": {}, "unconfirmed": {"import_sends_confirmation": True}},
        "unconfirmed": {
            "by_row": {},
            "batch_rejected": {"unconfirmed_rows": "whole_batch"},
            "silent": {"unconfirmed_rows": "silent"},
            "activated": {"unconfirmed_rows": "add"},
        },
        "rejections": {
            "by_row": {},
            "batch_rejected": {"inactive_rows": "whole_batch"},
            "silent": {"inactive_rows": "silent"},
            "added": {"inactive_rows": "add"},
        },
        "email_case": {"same": {}, "different": {"email_case": "keep"}},
        "unknown_field": {
            "ignored": {},
            "row_rejected": {"unknown_field": "fail_row"},
            "batch_rejected": {"unknown_field": "fail_batch"},
        },
        "values": {"kept": {}, "changed": {"values": "cut"}, "rejected": {"values": "fail_row"}},
        "rate_headers": {
            "absent": {},
            "seconds": {"calls_per_minute": 1000},
            "epoch": {"calls_per_minute": 1000, "reset_is_epoch": True},
        },
    },
    "constant_contact": {
        "new_status": {
            "implicit": {},
            "explicit": {"new_permission": "explicit"},
            "pending_confirmation": {"new_permission": "pending_confirmation"},
        },
        "email_case": {"same": {}, "different": {"email_case": "keep"}},
        "unknown_field": {
            "ignored": {},
            "row_rejected": {"unknown_custom_field": "error"},
            "batch_rejected": {"unknown_custom_field": "refuse"},
        },
        "person_count": {"all": {}, "valid": {"person_count": "valid"}},
        "error_lines": {"line_2": {}, "line_1": {"first_line": 1}, "none": {"max_activity_errors": 0}},
        "no_list": {"empty": {}, "left_out": {"no_list": "left_out"}, "gone": {"no_list": "gone"}},
        "values": {"kept": {}, "changed": {"decimals": "cut"}, "rejected": {"decimals": "error"}},
        "rate_headers": {"absent": {}, "present": {"rate_headers": True}},
    },
    "dotdigital": {
        "new_status": {
            "subscribed": {},
            "pendingOptIn": {"enforce_double_opt_in": True},
            "noSubscription": {"new_status": "noSubscription"},
        },
        "email_case": {"same": {}, "different": {"email_case": "keep"}},
        "unknown_field": {
            "ignored": {},
            "row_rejected": {"unknown_field": "fail_record"},
            "batch_rejected": {"unknown_field": "fail_request"},
            "created": {"unknown_field": "create"},
        },
        "left_book": {"stays_out": {}, "readds": {"readd_list_unsubscribed": True}},
        "ids_per_removal": {
            "1000": {},
            "500": {"max_delete_ids": 500},
            "250": {"max_delete_ids": 499},
            "100": {"max_delete_ids": 100},
        },
        "two_removals": {"both": {}, "in_use": {"removals_at_once": False}},
        "no_book": {"empty": {}, "left_out": {"no_list": "left_out"}, "gone": {"no_list": "gone"}},
        "values": {
            "kept": {},
            "changed": {"value_precision": "cut"},
            "rejected": {"decimals": "fail_record"},
        },
        "rate_headers": {"epoch": {}, "seconds": {"rate_reset": "seconds"}, "absent": {"rate_scheme": "off"}},
    },
    "omnisend": {
        "batch_permission": {"enough": {}, "more": {"batch_read_permissions": ["events.read"]}},
        "tags_on_upsert": {"merge": {}, "replace": {"update_tags": "replace"}},
        "tags_left_out": {"kept": {}, "cleared": {"left_out_tags": "clear"}},
        "new_status": {
            "nonSubscribed": {},
            "subscribed": {"new_status": "subscribed"},
            "unsubscribed": {"new_status": "unsubscribed"},
        },
        "old_consent": {"ignored": {}, "subscribes": {"date_of_no_status": "none"}},
        "status_dates": {"latest": {}, "last": {"status_dates": "last"}},
        "email_case": {"same": {}, "different": {"email_case": "keep"}},
        "values": {
            "kept": {},
            "changed": {"property_values": "text"},
            "rejected": {"property_values": "reject"},
        },
        "rate_headers": {"absent": {}, "present": {"rate_headers": True}},
    },
}
"""Settings of the simulator by vendor, question and answer."""

CASES = [
    (vendor, question, answer)
    for vendor, questions in ANSWERS.items()
    for question, answers in questions.items()
    for answer in answers
]


class Killed(BaseException):
    """The process has died: no call is sent any more."""


class Calls:
    """A sender that counts calls, and dies or is interrupted before one of them."""

    def __init__(
        self, send: Callable[[Request], Response], dies_at: int = 0, error: Callable[[], BaseException] = Killed
    ) -> None:
        self._send, self._dies_at, self._error = send, dies_at, error
        self.count = 0

    def __call__(self, request: Request) -> Response:
        self.count += 1
        is_dead = self._error is Killed and self.count > self._dies_at
        if self._dies_at and (self.count == self._dies_at or is_dead):
            raise self._error()
        return self._send(request)


class Prober:
    """Probes of one account."""

    def __init__(self, account: VendorHarness, audience: str = "") -> None:
        self.account = account
        if audience:
            audiences = account.described["audiences"]
            account.audience = next(str(each["id"]) for each in audiences if each["name"] == audience)
        self.vendor = account.vendor
        self.probe = planning.probe_of(account.vendor)
        self.emails = addresses.addresses(PATTERN, planning.count_addresses(self.probe), account.endpoint.base_url)

    def context(self, calls: Calls | None = None) -> planning.ProbeContext:
        sender = self.account.sender()
        calls = calls or Calls(sender)
        run = partial(run_operation, send=calls, sleep=self.account.sleep)
        audience = run(self.vendor.resolve_audience(self.account.endpoint, self.account.audience))
        return planning.ProbeContext(
            vendor=self.vendor,
            audience=audience,
            state_root=self.account.home,
            run=run,
            calls=lambda: calls.count,
            clock=self.account.sim.clock.now,
            sleep=self.account.sleep,
        )

    def ask(self, *only: str, calls: Calls | None = None, keep_going: bool = False) -> ProbeReport:
        """Run a probe as the command does."""
        context = self.context(calls)
        not_undone = engine.undo_leftover(context)
        assert not not_undone
        planning.check_audience(context, self.emails)
        planned = planning.plan(self.probe, only, self.emails, context.audience)
        results = engine.ask_all(context, planned, keep_going=keep_going)
        swept = engine.sweep(context, self.emails)
        texts = [*(text for result in results for text in result.not_undone), *swept]
        return ProbeReport(self.vendor, results, texts, "1.0")

    def questions(self) -> list[str]:
        return [question.name for question in self.probe.questions]

    def assert_clean(self) -> None:
        """No address is a mailable member, nothing that the probe made up is left, and no file remembers anything."""
        left = {email.lower() for email in self.account.active()} & set(self.emails)
        assert left == set()
        assert not self.context().leftovers.path.exists()
        described: Any = self.account.sim.describe()["vendors"][self.account.name]  # type: ignore[index]
        by_list = [each.get("custom_fields", {}) for each in described["audiences"]]
        names = {name.lower() for fields in [described.get("custom_fields", {}), *by_list] for name in fields}
        assert [name for name in names if name.startswith(("segexport", "chk", "check"))] == []
        if self.account.name == "omnisend":
            people = self.account.sim.members("omnisend", "all-contacts")["members"]
            assert [tag for person in people for tag in person["tags"]] == []
            assert [v for person in people for name, v in person["fields"].items() if "check" in name and v] == []
        if self.account.name == "campaign_monitor":
            assert self.account.sim.members("campaign_monitor", "suppression-list")["members"] == []


def question_of(vendor: str, name: str) -> Any:
    return next(question for question in planning.probe_of(VENDORS[vendor]).questions if question.name == name)


def audience_for(vendor: str, question: str) -> str:
    """The name of the audience in which a question can be asked; empty for the account's first one."""
    is_about_confirming = vendor == "campaign_monitor" and question in {"confirmed_opt_in", "unconfirmed"}
    return CONFIRMED if is_about_confirming else ""


def relaxed(account: VendorHarness, settings: Mapping[str, Any]) -> None:
    account.sim.configure({account.name: settings})
