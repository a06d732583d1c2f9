"""The operator call of a plan: valid Python that gives the arguments back, whatever they contain."""

from __future__ import annotations

import ast
import random

import pytest
from jinja2 import Environment

from airflow_provider_segexport.cli.plan_code import operator_call

ODD = [
    "plain",
    "it's",
    'a "quoted" name',
    "both ' and \"",
    "back\\slash",
    "new\nline",
    "ends\n",
    "carriage\r\nreturn",
    "tab\t",
    "{# no comment #}",
    "{#",
    "#}",
    "}} {",
    "☃ snowman",
    "\udcff",
    "\x00\x1b[31m",
    "{'a': 1}",
    "x" * 300,
    "",
]


def given_back(conn_id, given):
    """The arguments that a DAG with the call has, after Airflow has rendered their templates."""
    tree = ast.parse(operator_call(conn_id, given))
    call = tree.body[-1].value
    assert isinstance(tree.body[0], ast.ImportFrom)
    arguments = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    assert call.func.id == "SegmentExportOperator"
    assert arguments.pop("task_id") == "export"
    return {name: rendered(value) for name, value in arguments.items()}


def rendered(value):
    """As Airflow renders template fields: texts, and the values of lists and mappings."""
    if isinstance(value, str):
        return Environment(autoescape=False).from_string(value).render()
    if isinstance(value, list):
        return [rendered(item) for item in value]
    return {key: rendered(item) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_any_text_comes_back(odd):
    """As a path, several paths, a column, a field and an audience."""
    given = {
        "segment": [odd, "/a.parquet"],
        "field_mapping": {"email": odd},
        "custom_fields": {odd: "tier"},
        "audience": odd,
    }
    assert given_back("conn", given) == {"conn_id": "conn", **given}


def test_only_what_was_given_is_there_and_long_values_are_broken():
    given = {
        "segment": "/lake/high value/part.parquet",
        "field_mapping": {f"field{number}": f"column {number}" for number in range(12)},
        "guards": {"max_shrink": 0.3, "min_rows": None, "max_growth": {"limit": 1, "action": "fail"}},
        "create_audience": True,
        "max_profiles": 5,
    }
    text = operator_call("cm", given)
    assert given_back("cm", given) == {"conn_id": "cm", **given}
    assert max(map(len, text.splitlines())) <= 120
    assert '        "field11": "column 11",' in text.splitlines()


def test_random_texts_come_back():
    rng = random.Random(3)
    for _ in range(500):
        odd = "".join(rng.choices("ab'\"\\{}#%\n\r\t ü☃\x07", k=rng.randint(0, 12)))
        if "{{" in odd or "{%" in odd:  # the command refuses a template
            continue
        assert given_back("conn", {"segment": odd}) == {"conn_id": "conn", "segment": odd}, ascii(odd)
