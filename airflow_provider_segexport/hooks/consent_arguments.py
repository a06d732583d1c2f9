"""Reads the arguments of consent: `values of the arguments -> Consent`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.export.config import Consent, ProofColumns
from airflow_provider_segexport.storage.proof_columns import ARGUMENTS, CONSENTED_AT_COLUMN
from airflow_provider_segexport.trimming import trimmed

COLUMN_PREFIX = "column:"
"""Before the name of a column in `consent_text`. Any other value is the text itself."""

PROOF_ARGUMENTS = (CONSENTED_AT_COLUMN, *ARGUMENTS.values())
"""Arguments that have a meaning with `subscribe="with_proof"` only."""

CONSENT_ARGUMENTS = ("consent_column", "suppression_list", "subscribe", *PROOF_ARGUMENTS)
"""All arguments that `consent` reads."""


def consent(values: Mapping[str, Any]) -> Consent:
    """Return the rules of consent.

    Raises:
        InvalidArgument: an argument of the proof is missing, or given without `subscribe="with_proof"`.
    """
    column, suppression_list = values["consent_column"], values["suppression_list"]
    if values["subscribe"] == "never":
        for name in PROOF_ARGUMENTS:
            if values[name]:
                raise InvalidArgument(
                    f"`{name}` is given, and `subscribe` is 'never', so that no one is subscribed. Nothing was sent. "
                    f"To fix: set `subscribe='with_proof'`, or leave out `{name}`."
                )
        return Consent(column, suppression_list)
    for name in ("consent_column", CONSENTED_AT_COLUMN):
        if not values[name]:
            raise InvalidArgument(
                f"`subscribe` is 'with_proof', and `{name}` is missing. Nothing was sent. To fix: pass `{name}`, the "
                "column with " + ("a yes or no." if name == "consent_column" else "the moment of consent.")
            )
    return Consent(column, suppression_list, _proof(values))


def _proof(values: Mapping[str, Any]) -> ProofColumns:
    columns = {part: values[name] for part, name in ARGUMENTS.items() if values[name]}
    text = columns.get("text", "")
    if text.startswith(COLUMN_PREFIX):
        columns["text"], text = trimmed(text.removeprefix(COLUMN_PREFIX)), ""
        if not columns["text"]:
            raise InvalidArgument(
                f"`consent_text` is {values['consent_text']!r}, which names no column. To fix: write the name of the "
                f"column after `{COLUMN_PREFIX}`, or pass the text itself."
            )
    else:
        columns.pop("text", None)
    return ProofColumns(values[CONSENTED_AT_COLUMN], columns, text)


def proof_columns(given: Mapping[str, Any]) -> list[str]:
    """Return the columns of the proof among arguments that have not been read yet."""
    names = [given.get(name) for name in PROOF_ARGUMENTS if name != ARGUMENTS["text"]]
    text = given.get(ARGUMENTS["text"])
    if isinstance(text, str) and trimmed(text).startswith(COLUMN_PREFIX):
        names.append(trimmed(text).removeprefix(COLUMN_PREFIX))
    return [trimmed(name) for name in names if isinstance(name, str) and trimmed(name)]
