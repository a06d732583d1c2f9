"""Freezes a plan, which every later attempt of the run carries out: `audience state, draft -> journals, plan.json`.

The audience's state, which names the run, and the journals are written before the plan. After the plan, the state is
written once more, so that a plan that is lost is detected.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from airflow_provider_segexport.export.planning import PlanDraft
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.side_by_side import side_by_side


def freeze(draft: PlanDraft, folder: RunFolder, state: AudienceState, ledger: Ledger, pinned: Ledger) -> None:
    """Write the state of the audience, the run's journals and its plan.

    Args:
        draft: the plan.
        folder: the run folder.
        state: the audience's state, with this run as the open run.
        ledger: the audience's ledger, with the lease.
        pinned: the same ledger, listed while this run held the audience.

    Raises:
        Superseded: another run has taken the audience over.
    """
    versions = pinned.version_names()
    opened = partial(state.write, ledger.path, ledger.fence, versions)
    side_by_side(folder.path, opened, partial(folder.create_journals, draft.plan))
    remove_older = partial(state.remove_older, ledger.path, ledger.fence, pinned.names or ())
    side_by_side(folder.path, remove_older, partial(folder.write_plan, draft.plan, draft.facts))
    replace(state, is_planned=True).write(ledger.path, ledger.fence, versions)
