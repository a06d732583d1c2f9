"""The operator that takes people out of everything that exports have left of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import FatalError, InvalidSegment
from airflow_provider_segexport.operators.base import as_text

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.person.person import Person


class SegmentExportEraseOperator(BaseOperator):
    """Takes people out of audiences, of every kept version of the ledgers and of all run folders, with receipts.

    The people are read from a file, for what a task is given shows in Airflow's UI. Take them out of the sources of
    your segments first: the next export would send them again. Fails where something was left, such as an audience that
    another run is writing; another try goes on.

    Returns how many people there were, and the places of the receipts, which hold no address.

    Args:
        emails_path: Parquet with a column `email`, or text with an address a line: a path, or anything that
            ObjectStoragePath opens.
        requested_by: who asks for the erasure; it is written to the receipts.
        dry_run: look only, and write no receipt.
    """

    template_fields: Sequence[str] = ("emails_path", "requested_by", "is_dry_run")
    ui_color = "#e8e0f0"

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
        self.is_dry_run = dry_run  # BaseOperator has a method of the argument's name

    def execute(self, context: Any) -> dict[str, Any]:
        """Erase one after the other."""
        from airflow_provider_segexport.hooks import get_hook, options  # noqa: PLC0415
        from airflow_provider_segexport.hooks.erasure import tools  # noqa: PLC0415
        from airflow_provider_segexport.person.erase import erase  # noqa: PLC0415

        def allowed(conn_id: str) -> SegmentExportHook:
            hook = get_hook(conn_id)
            hook.settings.check_dag_allowed(context["dag"].dag_id)
            return hook

        try:
            given = {
                "emails_path": self.emails_path,
                "requested_by": self.requested_by,
                "dry_run": self.is_dry_run,
            }
            told = options.values(options.ERASE, given)
            dry_run = told["dry_run"]
            people = self._people(told["emails_path"])
        except FatalError as error:
            raise AirflowFailException(str(error)) from None
        made = tools(allowed)
        receipts = [erase(made, person, told["requested_by"], dry_run=dry_run) for person in people]
        left = [words for receipt in receipts for words in receipt.left]
        for words in left:
            self.log.warning("Left: %s", words)
        found = sum(len(receipt.findings) for receipt in receipts)
        self.log.info("Erasure (people=%d places=%d left=%d dry_run=%s).", len(people), found, len(left), dry_run)
        if left and not dry_run:
            raise AirflowException(
                f"A person who was to be erased is still held in {counted(len(left), 'place')}: see the log."
            )
        return {"people": len(people), "places": found, "left": len(left), "receipts": [one.path for one in receipts]}

    @staticmethod
    def _people(emails_path: str) -> list[Person]:
        import pyarrow.parquet as pq  # noqa: PLC0415 - when the task runs

        from airflow_provider_segexport.hooks.paths import open_storage_path  # noqa: PLC0415
        from airflow_provider_segexport.person.person import Person  # noqa: PLC0415
        from airflow_provider_segexport.storage.paths import read  # noqa: PLC0415

        place = open_storage_path(emails_path, "`emails_path`")
        if not place.exists():
            raise InvalidSegment(f"{emails_path} does not exist.")
        if place.name.endswith(".parquet"):
            with place.open("rb") as file:
                texts = pq.read_table(file, columns=["email"]).column("email").to_pylist()
        else:
            texts = read(place).decode().splitlines()
        return [Person.of(text) for text in dict.fromkeys(texts) if text and text.strip()]
