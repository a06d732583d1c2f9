"""The operator that erases people from audiences, ledgers and run folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowException

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.operators import task_docs
from airflow_provider_segexport.operators.base import as_text
from airflow_provider_segexport.operators.documented import DocumentedOperator

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook


class SegmentExportEraseOperator(DocumentedOperator):
    """Erases people from audiences, from every stored version of the ledgers and from all run folders, with receipts.

    The addresses are read from a file, because Airflow's UI shows a task's arguments. Remove the people from the
    sources of your segments first, because the next export would send them again. The task fails if something could
    not be erased, for example because another run is writing an audience; a retry continues.

    Returns counts and the paths of the receipts, which contain no address.

    Args:
        emails_path: Parquet with a text column `email`, or UTF-8 text with one address per line and no header: a local
            path, or any path that ObjectStoragePath opens.
        requested_by: who asks for the erasure; it is written to the receipts.
        dry_run: only report what would be erased; write no receipt.
    """

    template_fields: Sequence[str] = ("emails_path", "requested_by", "is_dry_run")
    ui_color = "#e8e0f0"
    describe = staticmethod(task_docs.erase_doc)

    def __init__(
        self,
        *,
        emails_path: str | os.PathLike[str] | Asset,
        requested_by: str,
        dry_run: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.emails_path = as_text(emails_path)
        self.requested_by = requested_by
        self.is_dry_run = dry_run
        self.document({"emails_path": self.emails_path, "dry_run": dry_run})
        self._is_killed = False
        self._hooks: list[SegmentExportHook] = []

    def on_kill(self) -> None:
        """Stop: no further person is begun, no further call is made, and the receipt of this person is written."""
        self._is_killed = True
        for hook in self._hooks:
            hook.request_stop()

    def execute(self, context: Any) -> dict[str, Any]:
        """Erase the people one after the other, and return counts and the paths of the receipts.

        Raises:
            AirflowException: something could not be erased.
        """
        from airflow_provider_segexport.hooks import get_hook, options  # noqa: PLC0415
        from airflow_provider_segexport.hooks.erasure import erasure_deps  # noqa: PLC0415
        from airflow_provider_segexport.hooks.failures import translated_errors  # noqa: PLC0415
        from airflow_provider_segexport.hooks.paths import open_storage_path  # noqa: PLC0415
        from airflow_provider_segexport.person.erase import erase  # noqa: PLC0415
        from airflow_provider_segexport.person.requests import read_people  # noqa: PLC0415

        def allowed_hook(conn_id: str) -> SegmentExportHook:
            hook = get_hook(conn_id)
            hook.settings.check_dag_allowed(context["dag"].dag_id)
            self._hooks.append(hook)
            if self._is_killed:
                hook.request_stop()
            return hook

        given = {"emails_path": self.emails_path, "requested_by": self.requested_by, "dry_run": self.is_dry_run}
        with translated_errors():
            values = options.values(options.ERASE, given)
            dry_run = values["dry_run"]
            people = read_people(open_storage_path(values["emails_path"], "`emails_path`"))
            deps = erasure_deps(allowed_hook)
            receipts = [
                erase(deps, person, values["requested_by"], dry_run=dry_run) for person in people if not self._is_killed
            ]
        left = [text for receipt in receipts for text in receipt.left]
        for text in left:
            self.log.warning("Leaving data of a person: %s", text)
        findings = sum(len(receipt.findings) for receipt in receipts)
        self.log.info(
            "Erasing people (people=%d places=%d left=%d dry_run=%s)", len(people), findings, len(left), dry_run
        )
        if len(receipts) < len(people):
            raise AirflowException(
                f"Airflow has stopped the task before it erased {counted(len(people) - len(receipts), 'person')}. To "
                "fix: clear the task."
            )
        if left and not dry_run:
            raise AirflowException(
                f"People who should be erased remain in {counted(len(left), 'place')}; the task's log lists them. "
                "To fix: remove the cause that the log names, and clear the task."
            )
        paths = [receipt.path for receipt in receipts]
        return {"people": len(people), "places": findings, "left": len(left), "receipts": paths}
