"""The provider as Airflow sees it: its metadata, its forms, its commands, and the cost of importing it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import airflow
import jsonschema
import pytest
from airflow import plugins_manager
from airflow import settings as airflow_settings
from airflow.sdk import BaseHook
from airflow.sdk._shared.secrets_masker import should_hide_value_for_key
from airflow_home import IS_3_2, REPO

from airflow_provider_segexport import __version__, get_provider_info
from airflow_provider_segexport.errors import ConnectionNotAllowed
from airflow_provider_segexport.hooks import HOOKS, get_hook_class
from airflow_provider_segexport.hooks.connection import settings
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow

INFO = get_provider_info()
FORMS = {form["connection-type"]: form for form in INFO["connection-types"]}
SECRETS = [(vendor.name, field.name) for vendor in VENDORS.values() for field in vendor.form.fields if field.secret]
HEAVY = {"pandas", "pyarrow", "duckdb", "email_validator", "requests", "numpy", "tenacity"}


def schema(name):
    return json.loads((Path(airflow.__file__).parent / name).read_text())


def test_the_metadata_is_what_airflow_reads():
    """It fits the schema that Airflow holds providers to at run time."""
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


def test_forms_are_what_airflows_ui_reads():
    """Connection types, fields and their words fit the stricter schema that Airflow's own providers are held to."""
    part = schema("provider.yaml.schema.json")["properties"]["connection-types"]
    jsonschema.validate(INFO["connection-types"], part)


def test_configuration_is_what_airflow_reads():
    """Sections and options fit the same schema."""
    provider_schema = schema("provider.yaml.schema.json")
    jsonschema.validate(
        INFO["config"], provider_schema["properties"]["config"] | {"definitions": provider_schema["definitions"]}
    )


def test_the_entry_point_leads_to_it():
    """Airflow finds the provider by its distribution's entry point, and wants the distribution's own name in it."""
    [entry] = [
        entry_point
        for entry_point in metadata.entry_points(group="apache_airflow_provider")
        if "segexport" in entry_point.value
    ]
    assert INFO == entry.load()()
    assert INFO["package-name"] == entry.dist.name
    assert [__version__] == INFO["versions"]


def test_every_vendor_has_a_connection_type_and_a_hook():
    """One row in `VENDORS` is one type, one hook, one form."""
    assert set(VENDORS) == set(FORMS) == set(HOOKS)
    for name, vendor in VENDORS.items():
        hook_class = get_hook_class(name)
        assert issubclass(hook_class, BaseHook)
        assert (name, vendor, vendor.title) == (hook_class.conn_type, hook_class.vendor, hook_class.hook_name)
        assert f"{hook_class.__module__}.{hook_class.__qualname__}" == FORMS[name]["hook-class-name"]
        assert hook_class.__doc__
        assert hook_class.auth.__doc__


def test_every_module_that_the_metadata_names_is_there():
    """Hooks, operators, triggers and commands are named by modules that can be imported; no module is left out."""
    for kind in ("hooks", "operators", "triggers"):
        for entry in INFO[kind]:
            for module in entry["python-modules"]:
                import_module(module)
    for path in [*INFO["cli"], *INFO["notifications"]]:
        module, _, name = path.rpartition(".")
        assert callable(getattr(import_module(module), name))
    named = {module for entry in INFO["triggers"] for module in entry["python-modules"]}
    triggers = (REPO / "airflow_provider_segexport" / "triggers").glob("[a-z]*.py")
    assert named == {f"airflow_provider_segexport.triggers.{path.stem}" for path in triggers}
    named = {module for entry in INFO["operators"] for module in entry["python-modules"]}
    operators = (REPO / "airflow_provider_segexport" / "operators").glob("segment_export*.py")
    assert named == {f"airflow_provider_segexport.operators.{path.stem}" for path in operators}


def test_integrations_are_those_of_the_official_providers():
    """One a vendor, with tags, links and guides; hooks, operators and triggers name no other."""
    properties = schema("provider.yaml.schema.json")["properties"]
    for kind in ("integrations", "hooks", "operators", "triggers"):
        jsonschema.validate(INFO[kind], properties[kind])
    names = {entry["integration-name"] for entry in INFO["integrations"]}
    assert {vendor.title for vendor in VENDORS.values()} == names
    for kind in ("hooks", "operators", "triggers"):
        assert names == {entry["integration-name"] for entry in INFO[kind]}
    guides = {guide for entry in INFO["integrations"] for guide in entry["how-to-guide"]}
    assert [] == [guide for guide in guides if not (REPO / guide.removeprefix("/")).is_file()]
    links = {entry["integration-name"]: entry["external-doc-url"] for entry in INFO["integrations"]}
    assert links == {vendor.title: vendor.documentation_url for vendor in VENDORS.values()}


def test_airflow_loads_the_plugin_once(monkeypatch):
    """By its entry point, also where Airflow loads all providers: a second plugin of a name is an import error."""
    monkeypatch.setattr(airflow_settings, "LAZY_LOAD_PROVIDERS", False)
    [entry] = [
        entry_point
        for entry_point in metadata.entry_points(group="airflow.plugins")
        if "segexport" in entry_point.value
    ]
    plugins, errors = plugins_manager._get_plugins.__wrapped__()
    assert {} == {source: error for source, error in errors.items() if "segexport" in f"{source} {error}"}
    assert [entry.load().name] == [plugin.name for plugin in plugins if plugin.name == entry.load().name]


@pytest.mark.parametrize(("vendor", "field"), SECRETS)
def test_a_secret_stands_only_where_airflow_masks_it(vendor, field):
    """Airflow's API hides an extra by its name alone: `format: password` hides nothing but the keystrokes."""
    assert should_hide_value_for_key(field)
    assert "password" == FORMS[vendor]["conn-fields"][field]["schema"]["format"]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_what_is_no_secret_is_not_masked(form):
    """A field that Airflow masks cannot be read again by a user that edits the connection."""
    secret = {field for vendor, field in SECRETS if vendor == form["connection-type"]}
    assert secret == {name for name in form["conn-fields"] if should_hide_value_for_key(name)}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_form_shows_what_is_needed(form):
    """The port stays visible (Airflow's Test button needs one); a login only where the vendor has one."""
    behaviour, vendor = form["ui-field-behaviour"], VENDORS[form["connection-type"]]
    assert {"host", "port", "password"}.isdisjoint(behaviour["hidden-fields"])
    assert {"schema", "extra"} <= set(behaviour["hidden-fields"])
    assert ("login" in behaviour["hidden-fields"]) == (vendor.form.login_label is None)
    assert "443" == behaviour["placeholders"]["port"]
    assert vendor.form.credential_label == behaviour["relabeling"]["password"]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_only_who_stands_for_the_exports_must_be_filled_in(form):
    """A type without null keeps the form from being saved while the field is empty."""
    required = [name for name, field in form["conn-fields"].items() if "null" not in field["schema"]["type"]]
    assert ["consented_by"] == required


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_field_has_a_heading_and_a_word_of_help(form):
    """An administrator's decisions are together, and first."""
    assert all(field["description"] for field in form["conn-fields"].values())
    headings = [field["schema"]["section"] for field in form["conn-fields"].values()]
    assert ["Consent and access", "Audience and account"] == list(dict.fromkeys(headings))


@pytest.mark.parametrize("name", VENDORS)
def test_a_form_saved_as_it_opens_lets_nothing_out(name):
    """Airflow saves every field, the untouched ones as null or with their default."""
    saved = {field: about["schema"].get("default") for field, about in FORMS[name]["conn-fields"].items()}
    read_back = settings(VENDORS[name], "untouched", "", 443, saved)
    assert (False, "", (), True) == (
        read_back.privacy_consent,
        read_back.consented_by,
        read_back.allowed_dags,
        read_back.export_enabled,
    )
    with pytest.raises(ConnectionNotAllowed):
        read_back.check_dag_allowed("any_dag")


def modules_after(code: str) -> set[str]:
    script = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPO, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_metadata_costs_next_to_nothing():
    """Every Airflow process reads it: neither Airflow's providers nor a data library is imported for it."""
    imported = modules_after("import airflow_provider_segexport as p; p.get_provider_info()")
    assert set() == {name.partition(".")[0] for name in imported} & (HEAVY | {"airflow"})


def test_a_dag_file_pays_for_airflow_and_little_else():
    """Importing the operator brings in no data library and none of the rooms behind it."""
    imported = modules_after("from airflow_provider_segexport.operators.segment_export import SegmentExportOperator")
    assert set() == {name.partition(".")[0] for name in imported} & (HEAVY - {"tenacity"})
    assert "airflow.providers.http.hooks.http" not in imported
    rooms = {name.split(".")[1] for name in imported if name.startswith("airflow_provider_segexport.")}
    assert {"export", "stages", "ports", "triggers"}.isdisjoint(rooms)
    assert "airflow_provider_segexport.hooks.base" not in imported


CLI = """
import contextlib, io, json, sys
from airflow.__main__ import main
said = {}
for arguments in json.loads(sys.argv[1]):
    out = io.StringIO()
    sys.argv = ["airflow", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            code = main() or 0
        except SystemExit as left:
            code = left.code or 0
    said[" ".join(arguments)] = [code, out.getvalue()]
print("said:" + json.dumps(said))
"""


def airflow_says(*commands: str) -> dict[str, tuple[int, str]]:
    """Run Airflow's commands, one after the other in one process of their own."""
    script = [sys.executable, "-c", CLI, json.dumps([command.split() for command in commands])]
    enabled = {"AIRFLOW__CORE__TEST_CONNECTION": "Enabled", "COLUMNS": "250", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(script, env=os.environ | enabled, capture_output=True, text=True, check=True)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("said:")]
    return {command: tuple(output) for command, output in json.loads(line.removeprefix("said:")).items()}


def test_airflows_commands_know_the_provider(real_time):
    """`providers list` shows it; `connections test` names account and audience, or says what is wrong."""
    stage = real_time
    connections = {vendor: stage.connection(vendor) for vendor in VENDORS}
    wrong = stage.connection("dotdigital", password="not-this-one")
    tests = {vendor: f"connections test {conn_id}" for vendor, conn_id in connections.items()}
    outputs = airflow_says("providers list", *tests.values(), f"connections test {wrong}")
    assert "airflow-provider-segexport" in outputs["providers list"][1]
    for vendor, command in tests.items():
        code, text = outputs[command]
        assert (0, True) == (code, "Connection success" in text), text
        assert VENDORS[vendor].title in text
        assert stage.vendor(vendor)["audiences"][0]["name"] in text
    code, text = outputs[f"connections test {wrong}"]
    assert IS_3_2 or code == 1  # Airflow 3.2 only says so
    assert "the API user's name or password" in " ".join(text.split())
    for vendor in VENDORS:
        secrets = [value for value in stage.vendor(vendor)["credentials"].values() if isinstance(value, str)]
        assert not [secret for secret in (*secrets, "not-this-one") if len(secret) > 9 and secret in str(outputs)]
