"""The invariants of "What must always hold", each a function that yields its violations.

`broken(evidence)` runs all of them. Each message is for the person that fixes the fault: what happened, in which
run, at which call of the simulator's log. The functions are in the modules `invariants_of_*.py`, by topic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from chaos.invariants_of_consent import consent_is_never_upgraded
from chaos.invariants_of_output import never_above_quota, nothing_personal_leaves
from chaos.invariants_of_people import (
    leaving_is_not_unsubscribing,
    vendor_and_segment_agree,
    what_belongs_to_others_survives,
)
from chaos.invariants_of_rows import every_row_ends_once
from chaos.invariants_of_runs import (
    a_retry_goes_on,
    nothing_is_sent_before_the_checks,
    older_never_overwrites_newer,
    one_writer_an_audience,
)
from chaos.run_records import RunRecords

Invariant = Callable[[RunRecords], Iterator[str]]


INVARIANTS: dict[str, Invariant] = {
    "conservation": every_row_ends_once,
    "consent": consent_is_never_upgraded,
    "leavers": leaving_is_not_unsubscribing,
    "order": older_never_overwrites_newer,
    "retry": a_retry_goes_on,
    "one writer": one_writer_an_audience,
    "privacy": nothing_personal_leaves,
    "quota": never_above_quota,
    "checks first": nothing_is_sent_before_the_checks,
    "agreement": vendor_and_segment_agree,
    "others": what_belongs_to_others_survives,
}
"""The invariants by name; `agreement` is the purpose of the others."""


def broken(evidence: RunRecords) -> list[str]:
    """Every violation, each with the name of its invariant."""
    return [f"{name}: {violation}" for name, invariant in INVARIANTS.items() for violation in invariant(evidence)]
