"""Bugs of one line, each with the shortest sequence in which the product then differs from the model."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.person_model import Row
from chaos.steps import Break, Export, FieldChange, Hand, Step, Undo, Verification

from airflow_provider_segexport.stages.drift import next_version
from airflow_provider_segexport.storage.known_fields import update as known_fields

A, B, C, NO, BAD = Row("A"), Row("B"), Row("C"), Row("A", consent=False), Row("A", bad=True)


def segment(*people: str, mode: str = "mirror", **options: object) -> Export:
    """A run of a segment; `bob=NO` in `options` is a row of its own."""
    rows = dict.fromkeys(people, (A,))
    rows |= {name: (row,) for name, row in options.items() if isinstance(row, Row)}
    other = {name: value for name, value in options.items() if not isinstance(value, Row)}
    return Export(tuple(rows.items()), mode=mode, **other)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Plant:
    """A bug of one line, and the shortest sequence that shows it."""

    vendor: str
    module: str
    name: str
    wrong: object
    steps: tuple[Step, ...]
    shared: bool = False


VIP = {"export": "shop.vip"}
PLANTS = {
    "a suppression list withholds no person": Plant(
        "omnisend",
        "stages.consent",
        "withhold_suppressed",
        lambda _: 0,
        (segment("ann", "bob", mode="upsert", suppressed=frozenset({"bob"})),),
    ),
    "a person who withdraws stays in the audience": Plant(
        "dotdigital",
        "stages.removals",
        "SEGMENT_EMAILS_SQL",
        "create or replace view segment_emails as select email from valid_email_rows",
        (segment("ann", "bob"), segment("ann", bob=NO)),
    ),
    "a person of the other sharer is taken out": Plant(
        "campaign_monitor",
        "stages.removals",
        "update_sharers",
        lambda *_, **__: None,
        (segment("ann", "bob"), segment("bob", "cat", **VIP), segment("ann")),
        shared=True,
    ),
    "a person who left the list is brought back": Plant(
        "constant_contact",
        "stages.readback",
        "withhold_leavers",
        lambda _: 0,
        (segment("ann", "bob"), Hand("bob", "leave"), segment("ann", bob=B)),
    ),
    "a person that a mirror took out is not brought back": Plant(
        "campaign_monitor",
        "stages.plan",
        "write_returning",
        lambda *_: None,
        (segment("ann", "bob"), segment("ann"), segment("ann", "bob")),
    ),
    "a run that was killed is forgotten": Plant(
        "omnisend",
        "export.recover",
        "recover",
        lambda _, __, audience_state: audience_state,
        (segment("ann", "bob", trouble=Break("left")), segment("ann")),
    ),
    "an older snapshot overwrites a newer one": Plant(
        "dotdigital",
        "export.planning",
        "check_not_stale",
        lambda *_: None,
        (segment("ann", "bob"), segment("ann", days_back=2)),
    ),
    "a plan that no one approved is carried out": Plant(
        "omnisend",
        "export.undo",
        "check_expected_plan",
        lambda *_: None,
        (segment("ann", approved=False),),
    ),
    "an opt-out is not written for the warehouse": Plant(
        "campaign_monitor",
        "export.collect_optouts",
        "OPTED_OUT",
        frozenset({"none"}),
        (segment("ann", "bob"), Hand("bob", "unsubscribe"), segment("ann")),
    ),
    "a rejected row is tried for ever": Plant(
        "campaign_monitor",
        "stages.plan",
        "withhold_recently_rejected",
        lambda *_: 0,
        (segment("ann", "bob"), Hand("bob", "unsubscribe"), *[segment("ann", bob=B)] * 4),
    ),
    "a field that was made anew stays empty": Plant(
        "dotdigital",
        "storage.known_fields",
        "update",
        lambda fields, types, created=(), keys=None: known_fields(fields, types, (), keys),
        (segment("ann", bob=C, field="create"), FieldChange(), segment("ann", bob=C, field="create")),
    ),
    "two runs write one audience at once": Plant(
        "campaign_monitor",
        "storage.lease",
        "Lease._raise_if_held",
        lambda *_: None,
        (segment("ann", "bob", beside=True),),
    ),
    "a run that waits for its jobs does not keep its audience": Plant(
        "omnisend",
        "storage.lease",
        "Lease._raise_if_held",
        lambda *_: None,
        (segment("ann", "bob", beside=True, trouble=Break("left")),),
    ),
    "an undo overlooks the run that broke": Plant(
        "dotdigital",
        "export.recover",
        "recover",
        lambda _, __, audience_state: audience_state,
        (segment("ann"), segment("ann", "bob", trouble=Break("left")), Undo()),
    ),
    "a repair forgets nothing": Plant(
        "omnisend",
        "stages.drift",
        "next_version",
        lambda sql, ledger, **_: next_version(sql, ledger, repair=False),
        (segment("ann", "bob"), Hand("bob", "delete"), Verification(repair=True), segment("ann", "bob")),
    ),
}
