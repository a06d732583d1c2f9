"""Plays a verification, and another user's change of the custom field, and compares each with the model."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from chaos.person_model import OURS, Belief
from chaos.product_runs import Disagreement, address
from chaos.reversals import Reversals
from chaos.steps import FieldChange, Sequence, Verification
from chaos.undo_model import FinishedRun
from chaos.verification_model import DRIFT, after_verification, kinds
from vendors.custom_fields import delete_field, make_field
from vendors.test_verify import verify

from airflow_provider_segexport.simulator import Simulator

NO_TASK_RUNS = {"is_task_running": lambda _: False}


class Verifications(Reversals):
    """Audiences that are read beside the exports, and the vendor's custom field that they need."""

    def __init__(self, sim: Simulator, home: Path, sequence: Sequence) -> None:
        super().__init__(sim, home, sequence)
        self.field_exists = False
        #: How often the field was made, as far as the vendor lets a run see it.
        self.made_fields = 0

    def has_field(self) -> bool:
        """Return whether the vendor has the custom field."""
        account = self.account
        target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
        return account.row.custom[1].lower() in target.fields

    def check_field(self, *, makes_field: bool | None) -> None:
        """Raise if a run made the field and should not have, or did not; None if either is right."""
        if self.account.name == "omnisend":
            return
        exists = self.has_field()
        if makes_field is not None and exists != (self.field_exists or makes_field):
            raise Disagreement(f"the custom field exists: {exists}; before the run: {self.field_exists}")
        self.made_fields += exists and not self.field_exists
        self.field_exists = exists

    def change_field(self, step: FieldChange) -> None:
        """Delete the field at the vendor with all its values; perhaps make it again."""
        if self.field_exists:
            delete_field(self.account)
        self.field_exists = step.remade
        if step.remade:
            make_field(self.account, "text")
            self.made_fields += self.account.name == "constant_contact"  # the only vendor that reports a field's id
        contacts = self.contacts()
        for person, beliefs in self.beliefs.items():
            seen = contacts[person]
            if seen is not None and seen.shop:
                raise Disagreement(f"{person} has a value for a field that was deleted: {seen}")
            self.beliefs[person] = {Belief(seen, belief.entry) for belief in beliefs}

    def verify(self, step: Verification) -> None:
        """Verify the audience; nothing changes at the vendor, and a repair only forgets what was delivered."""
        if not self.newest:
            return
        self.runs += 1
        before, lines = self.contacts(), self.read_ledger()[1]
        report = verify(self.account, f"run-{self.runs}", repair=step.repair, environment=NO_TASK_RUNS)
        self.check_nothing_changed(before)
        if report["open_run"]:
            if not self.has_unfinished_run or self.read_ledger()[1] != lines:
                raise Disagreement(
                    f"an open run that is none, or a ledger that changed although a run is open: {report}"
                )
            return
        drift = {row["email"]: row["kind"] for row in self.read_result("drift.parquet")}
        low: Counter[str] = Counter()
        high: Counter[str] = Counter()
        for person, beliefs in self.beliefs.items():
            seen = drift.get(address(person))
            possible = {(belief, kind) for belief in beliefs for kind in kinds(self.vendor, belief) or {None}}
            remaining = {(belief, kind) for belief, kind in possible if (kind if kind in DRIFT else None) == seen}
            if not remaining:
                raise Disagreement(f"{person}: the verification has {seen}, and the model {possible}")
            counted = {kind for _, kind in remaining}
            high.update(kind for kind in counted if kind)
            low.update(kind for kind in counted if kind and len(counted) == 1)
            self.beliefs[person] = {after_verification(belief, kind, repair=step.repair) for belief, kind in remaining}
        figures = Counter(report["people"])
        figures["repaired"], low["repaired"], high["repaired"] = (
            report["repaired"],
            *((low["missing"], high["missing"]) if step.repair else (0, 0)),
        )
        self.count_strangers(low, high)
        for kind in {*low, *high}:
            if not low[kind] <= figures[kind] <= high[kind]:
                raise Disagreement(f"the verification counts {report['people']}, and the model {low} to {high}")
        if report["ledger_version"] != report["compared_version"]:
            self.history.append(FinishedRun({}, "", (0, 0)))

    def count_strangers(self, low: Counter[str], high: Counter[Any]) -> None:
        """Count people who are in the audience, and not members by the ledger."""
        for beliefs in self.beliefs.values():
            ours = {belief.entry is not None and belief.entry.state in OURS for belief in beliefs}
            contact = next(iter(beliefs)).contact
            if contact is not None and False in ours:
                high["not_ours"] += contact.inside or contact.status in {"left", "unsubscribed", "bounced"}
                low["not_ours"] += contact.inside and contact.status == "ok" and ours == {False}
