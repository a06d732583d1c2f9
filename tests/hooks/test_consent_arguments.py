"""The arguments of a proof of consent: which belong together, and what each may be."""

from __future__ import annotations

import pytest

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.export.config import Consent
from airflow_provider_segexport.hooks import options
from airflow_provider_segexport.hooks.consent_arguments import PROOF_ARGUMENTS, consent

REQUIRED_ARGUMENTS = {"segment": "/a", "field_mapping": {"email": "email"}}
PROOF = {"subscribe": "with_proof", "consent_column": "ok", "consented_at_column": "at"}


def read(**given):
    return consent(options.values(options.EXPORT, REQUIRED_ARGUMENTS | given))


def test_never_is_the_default():
    """Without the argument no person is subscribed, as before it existed."""
    assert read(consent_column="ok") == Consent("ok")
    assert read(subscribe="never") == Consent()


@pytest.mark.parametrize("name", PROOF_ARGUMENTS)
def test_a_part_without_the_whole(name):
    """A part of a proof that is never sent is a mistake, and the text alone is one, too."""
    with pytest.raises(InvalidArgument, match=f"`{name}` is given, and `subscribe` is 'never'.* To fix: set"):
        read(**{name: "x"})


@pytest.mark.parametrize("name", ["consent_column", "consented_at_column"])
def test_what_a_proof_needs(name):
    with pytest.raises(InvalidArgument, match=f"`{name}` is missing. Nothing was sent"):
        read(**{key: value for key, value in PROOF.items() if key != name})


def test_a_text_or_the_column_of_one():
    """The same text for every person, or the text of each row."""
    assert read(**PROOF).proof.columns == {}
    fixed = read(**PROOF, consent_text=" I agree: yes ").proof
    assert (fixed.text, fixed.columns) == ("I agree: yes", {})
    column = read(**PROOF, consent_text="column: the words", consent_ip_column="ip").proof
    assert (column.text, column.columns) == ("", {"text": "the words", "ip": "ip"})
    assert column.names() == ["at", "the words", "ip"]
    with pytest.raises(InvalidArgument, match="'column:', which names no column"):
        read(**PROOF, consent_text="column: ")


@pytest.mark.parametrize("given", ["always", "yes", True, 1, ["with_proof"]])
def test_nothing_else_subscribes(given):
    """No other word, and no boolean, means that people are subscribed."""
    with pytest.raises(InvalidArgument, match="`subscribe`"):
        read(**PROOF | {"subscribe": given})


@pytest.mark.parametrize("name", ["subscribe", *PROOF_ARGUMENTS])
def test_an_empty_template_stops_the_run(name):
    """It is not known whether the proof was wanted."""
    with pytest.raises(InvalidArgument, match=f"`{name}` was given but is empty"):
        read(**PROOF | {name: "None"})
