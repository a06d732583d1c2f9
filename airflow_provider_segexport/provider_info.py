"""Provider metadata for Airflow's providers manager: connection types with their forms, configuration, operators."""

from __future__ import annotations

from typing import Any

from airflow_provider_segexport.hooks import HOOKS
from airflow_provider_segexport.hooks.connection import CONSENT
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.vendors.registry import VENDORS

LINKS = ("AudienceLink", "ReportLink", "RejectsLink")
PACKAGE = "airflow-provider-segexport"
OPERATOR_MODULES = tuple(
    f"airflow_provider_segexport.operators.{name}"
    for name in ("segment_export", "segment_export_erase", "segment_export_undo", "segment_export_verify")
)
OPERATOR_PAGES = ("export", "undo", "verify", "erase")
"""Names of the pages in docs/operators."""

TRIGGER_MODULES = ("airflow_provider_segexport.triggers.import_jobs", "airflow_provider_segexport.triggers.until")


OPTIONS: dict[str, dict[str, Any]] = {
    "state_path": {
        "description": "Folder of ledgers and run folders, shared by all workers: a local path, or a "
        "URL that ObjectStoragePath opens. Empty: segexport in AIRFLOW_HOME.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "s3://aws_default@bucket/segexport",
        "default": "",
    },
    "rejects_permission": {
        "description": "Users who may download the rejected rows of a run, with their addresses, in "
        "the UI: edit (those who may edit the DAG), logs (those who may read its task logs or XComs), "
        "nobody.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "logs",
        "default": "edit",
    },
    "keep_runs_days": {
        "description": "Days after which the run folder of an ended run is removed by later runs of the "
        "same task, with its rejected rows and its report. 0 keeps all run folders.",
        "version_added": "0.1.0",
        "type": "integer",
        "example": "90",
        "default": "30",
    },
    "rate_limit_store": {
        "description": "Where calls are counted against the vendors' rate limits. A folder that all workers "
        "of a machine can write to; or, shared by machines, redis://, rediss:// or postgresql://user@"
        "host/database (extras `redis` and `postgres`). Empty: the folder quotas in state_path, or in "
        "segexport in AIRFLOW_HOME if state_path is in object storage.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "redis://redis:6379/1",
        "default": "",
        "sensitive": True,
    },
}
"""Options of the section `[segexport]` in Airflow's configuration."""


def provider_info(version: str) -> dict[str, Any]:
    """Return the provider's metadata for a version of the distribution.

    The key `plugins` is left out: the plugin has an entry point, and Airflow 3.3.2 reports a second one of its name as
    an import error.
    """
    vendors = ", ".join(vendor.title for vendor in VENDORS.values())
    return {
        "package-name": PACKAGE,
        "name": "Segment Export",
        "description": f"Keeps email-marketing audiences ({vendors}) in step with customer segments.",
        "versions": [version],
        "connection-types": [connection_type(vendor) for vendor in VENDORS.values()],
        "integrations": [integration(vendor) for vendor in VENDORS.values()],
        "hooks": [_modules(vendor.title, HOOKS[vendor.name].rpartition(".")[0]) for vendor in VENDORS.values()],
        "operators": [_modules(vendor.title, *OPERATOR_MODULES) for vendor in VENDORS.values()],
        "triggers": [_modules(vendor.title, *TRIGGER_MODULES) for vendor in VENDORS.values()],
        "extra-links": [f"airflow_provider_segexport.operators.links.{name}" for name in LINKS],
        "notifications": ["airflow_provider_segexport.notifications.segment_export.SegmentExportNotifier"],
        "task-decorators": [
            {
                "name": "segment_export",
                "class-name": "airflow_provider_segexport.decorators.segment_export.segment_export_task",
            }
        ],
        "asset-uris": [
            {
                "schemes": ["segexport"],
                "handler": "airflow_provider_segexport.assets.audience.sanitize_uri",
                "factory": "airflow_provider_segexport.assets.audience.create_asset",
                "to_openlineage_converter": "airflow_provider_segexport.assets.audience.convert_asset_to_openlineage",
            }
        ],
        "cli": ["airflow_provider_segexport.cli.get_commands"],
        "config": {
            "segexport": {
                "description": "Segment exports to email-marketing vendors.",
                "options": OPTIONS,
            }
        },
    }


def integration(vendor: Vendor) -> dict[str, Any]:
    """Return a vendor's entry in Airflow's list of integrations. The guides are pages of this repository."""
    page = f"{vendor.name.replace('_', '-')}.md"
    return {
        "integration-name": vendor.title,
        "external-doc-url": vendor.documentation_url,
        "how-to-guide": [
            f"/docs/first-export/{page}",
            f"/docs/connections/{page}",
            *(f"/docs/operators/{operator}.md" for operator in OPERATOR_PAGES),
        ],
        "tags": ["service"],
    }


def _modules(integration_name: str, *modules: str) -> dict[str, Any]:
    """Return the modules that belong to an integration."""
    return {"integration-name": integration_name, "python-modules": list(modules)}


def connection_type(vendor: Vendor) -> dict[str, Any]:
    """Return the form of a vendor's connection.

    The port stays visible: the Test button of Airflow 3.3.2 fails for a stored connection without one
    (apache/airflow#73298).
    """
    form = vendor.form
    relabeling = {"host": "Base URL", "port": "Port (443)", "password": form.credential_label}
    hidden = ["schema", "extra"]
    if form.login_label:
        relabeling["login"] = form.login_label
    else:
        hidden.append("login")
    return {
        "connection-type": vendor.name,
        "hook-class-name": HOOKS[vendor.name],
        "hook-name": vendor.title,
        "ui-field-behaviour": {
            "hidden-fields": hidden,
            "relabeling": relabeling,
            "placeholders": {"host": f"empty: {vendor.base_url}", "port": "443", **form.placeholders},
        },
        "conn-fields": {
            **_placed(CONSENT_SECTION, _consent_fields()),
            **_placed(MORE_SECTION, _more_fields(vendor)),
        },
    }


CONSENT_SECTION = "Consent and access"
MORE_SECTION = "Audience and account"
SECRET = {"type": ["string", "null"], "format": "password"}
REQUIRED = {"type": "string", "minLength": 1}
"""A type without null: while the field is empty, the form cannot be saved and marks the section."""


def _consent_fields() -> dict[str, dict[str, Any]]:
    """Return the fields with which an administrator allows exports."""
    return {
        "privacy_consent": switch("Consent to data privacy terms", CONSENT, default=False),
        "consented_by": text("Consented by", "Name of the person who agrees to the exports through this connection.")
        | {"schema": dict(REQUIRED)},
        "allowed_dags": text(
            "Allowed DAGs", "DAG ids or patterns, comma-separated, such as segment_*. Empty: none. *: all."
        ),
        "export_enabled": switch(
            "Exports enabled",
            "If off, every export through this connection stops at once, and its tasks are skipped.",
            default=True,
        ),
    }


def _more_fields(vendor: Vendor) -> dict[str, dict[str, Any]]:
    """Return the fields of the default audience and of the vendor's account."""
    form = vendor.form
    return {
        "default_audience": text(
            f"Default {vendor.audience_noun}",
            f"{form.audience_help} Used when the operator passes no `audience`. The Test button checks that it exists.",
        ),
        **{
            field.name: text(field.label, field.help) | ({"schema": dict(SECRET)} if field.secret else {})
            for field in form.fields
        },
        "calls_per_minute": {
            "label": "Calls per minute",
            "description": "The account's rate limit, if your contract has another one than the vendor publishes.",
            "schema": {"type": ["integer", "null"], "minimum": 1},
        },
    }


def _placed(section: str, fields: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the fields with the section of the form in which they are shown."""
    return {name: {**field, "schema": {**field["schema"], "section": section}} for name, field in fields.items()}


def text(label: str, description: str) -> dict[str, Any]:
    """Return a field for an optional text."""
    return {"label": label, "description": description, "schema": {"type": ["string", "null"]}}


def switch(label: str, description: str, *, default: bool) -> dict[str, Any]:
    """Return a field for a boolean.

    Args:
        label: the field's label.
        description: the help text below the field.
        default: the value of a new connection.
    """
    return {"label": label, "description": description, "schema": {"type": ["boolean", "null"], "default": default}}
