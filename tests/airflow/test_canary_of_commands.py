"""Planted addresses, names and secrets, searched for in what commands print, log and store, with every logger at DEBUG.

`rejects`, `explain` and `erase` print people on purpose, and a probe prints the user's own addresses.
"""

from __future__ import annotations

import base64
import http.client
import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from airflow_fixtures import FIELD_MAPPING, export_dag, people

from airflow_provider_segexport.hooks import get_hook
from airflow_provider_segexport.hooks.constant_contact import ConstantContactHook
from airflow_provider_segexport.notifications.segment_export import SegmentExportNotifier
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow

WITH_PROBE = [name for name, vendor in VENDORS.items() if vendor.probe]
NAME = "canary.planted"
MAP = tuple(part for field, column in FIELD_MAPPING.items() for part in ("--map", f"{field}={column}"))
OWN = f"me.{NAME}+{{n}}@my-domain.example"
UNGUARDED = {"guards": {"max_removals_share": None, "max_shrink": None}}


def planted(count: int) -> pd.DataFrame:
    """People that can be recognised. One has no address, and one has an address that no vendor takes."""
    rows = people(count)
    rows["email"] = [f"{NAME}{number}@example.com" for number in range(count)]
    rows["first_name"] = rows["last_name"] = f"{NAME}name"
    rows.loc[1, "email"] = f"{NAME} no address"
    rows.loc[2, "email"] = f"{NAME}\u00fc@example.com"
    return rows


def secrets_of(stage: Any, vendor: str) -> list[str]:
    """The vendor's credentials, as they are and as they travel."""
    credentials = stage.vendor(vendor)["credentials"]
    plain = [credentials.get(name) for name in ("api_key", "password", "refresh_token", "client_secret")]
    pairs = [(credentials.get("api_key"), "x"), (credentials.get("username"), credentials.get("password"))]
    signed = [base64.b64encode(":".join(pair).encode()).decode() for pair in pairs if all(pair)]
    return [secret for secret in plain if secret] + signed


@pytest.fixture
def at_debug(caplog, monkeypatch):
    """Every logger at DEBUG, and `http.client` debug on."""
    for logger in ("", "urllib3.connectionpool", "airflow_provider_segexport"):
        caplog.set_level(logging.DEBUG, logger)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    limits = replace(ConstantContactHook.vendor.limits, rates=())  # counted by real time
    monkeypatch.setattr(ConstantContactHook, "vendor", replace(ConstantContactHook.vendor, limits=limits))
    return caplog


@dataclass(frozen=True)
class Searched:
    """The streams and the log of a test."""

    capsys: Any
    caplog: Any

    def texts(self) -> dict[str, str]:
        """Return what was written since the last call, by place."""
        return {"log": logged(self.caplog), **dict(zip(("stdout", "stderr"), self.capsys.readouterr(), strict=True))}


@pytest.fixture
def searched(at_debug, capsys):
    return Searched(capsys, at_debug)


@pytest.fixture
def filled(stage, searched, vendor):
    """An audience at a vendor that two exports have written; the connection."""
    stage.sim.configure({"constant_contact": {"calls_per_second": None}})
    conn_id = stage.connection(vendor)
    for count in (12, 9):
        stage.sim.clock.advance(600)
        arguments = {"export_name": "canary", "mode": "mirror", "fetch_optouts": True, **UNGUARDED}
        get_hook(conn_id).export(segment=stage.segment(planted(count)), field_mapping=FIELD_MAPPING, **arguments)
    stage.sim.seed(vendor, [{"email": f"{NAME}5@example.com", "status": "unsubscribed"}], stage.audience(vendor))
    stage.sim.seed(vendor, [{"email": f"{NAME}@elsewhere.example"}], stage.audience(vendor))
    stage.sim.clock.advance(3600)
    return conn_id


def leaks(stage: Any, vendor: str, outputs: dict[str, str], *, names: bool = True) -> list[tuple[str, str]]:
    """Texts that contain a person or a secret, and what they contain."""
    planted_texts = [*([NAME] if names else []), *secrets_of(stage, vendor)]
    return [(source, word) for source, text in outputs.items() for word in planted_texts if word in text]


def logged(caplog: Any) -> str:
    """All that was logged, except by the simulator's server."""
    lines = (f"{record.name} {record.getMessage()} {record.exc_text}" for record in caplog.records)
    return "\n".join(line for line in lines if not line.startswith("uvicorn"))


def stored(stage: Any) -> dict[str, str]:
    """All files of the state root that are no tables of rows."""
    files = [path for path in Path(stage.folder, "state").rglob("*") if path.is_file()]
    return {
        str(path): path.read_bytes().decode("utf-8", "replace")
        for path in files
        if path.suffix not in {".parquet", ".arrow"}
    }


@pytest.mark.parametrize("vendor", VENDORS)
def test_commands_at_debug(stage, command, searched, filled, vendor):
    """Verifications, a plan, a test row, lists, calls, repair and prune: no person and no secret anywhere."""
    audience, path = stage.audience(vendor), str(stage.folder / "segment.parquet")
    given = (
        ("verify", filled, audience),
        ("verify", filled, audience, "--sample", "5", "--repair", "-o", "json"),
        ("plan", filled, path, *MAP, "--export-name", "canary", "--verbose"),
        ("test-row", filled, path, *MAP, "--to", "me+test@my-domain.example", "--row", "4", "--yes"),
        ("audiences", filled),
        ("runs", "-o", "json"),
        ("repair", "--dry-run"),
        ("prune", "--dry-run"),
        ("undo", filled, audience, "--dry-run"),
        ("release", audience, "--export", "canary", "--dry-run"),
    )
    outputs = {" ".join(argv[:1]) + f" {number}": command(*argv) for number, argv in enumerate(given)}
    for run in sorted(Path(stage.folder, "state/runs").rglob("calls.json")):
        outputs[f"show {run}"] = command("show", str(run.parent))
        outputs[f"calls {run}"] = command("show", str(run.parent), "--calls", "-o", "json")
        assert outputs[f"calls {run}"][0] == 0
    refused = {name: text for name, (code, text) in outputs.items() if code not in {0, 3}}
    assert not [name for name in refused if not (vendor == "omnisend" and name.startswith("audiences"))], refused
    texts = {name: text for name, (_, text) in outputs.items()}
    texts |= searched.texts()
    assert leaks(stage, vendor, texts | stored(stage)) == []
    assert "Message withheld" in texts["log"]
    [newest, *_] = json.loads(texts["runs 5"])
    assert NAME in command("rejects", newest["run_folder"])[1]  # the search is not blind


@pytest.mark.parametrize("vendor", WITH_PROBE)
def test_a_probe_at_debug(stage, command, searched, filled, vendor):
    """Nothing but the printed pattern has an address, also if the probe is broken off and undone by the next one."""
    file = Path(stage.folder, "probe.json")
    hook = get_hook(filled)
    if hook.vendor.directory is not None:
        account = hook.run_operation(hook.vendor.resolve_audience(hook.settings.endpoint, None))
        hook.run_operation(hook.vendor.directory.create(account, "segexport-probe"))
    argv = (
        "probe",
        filled,
        "--audience",
        "name:segexport-probe",
        "--address",
        OWN,
        "--file",
        str(file),
        "--yes",
        "--keep-going",
    )
    stage.sim.faults([{"vendor": vendor, "method": "POST", "path": ".*", "nth": 4, "count": 2, "status": 500}])
    outputs = [command(*argv)[1], command(*argv)[1]]
    texts = {
        f"output {number}": "\n".join(line for line in text.splitlines() if not line.startswith("Addresses: "))
        for number, text in enumerate(outputs)
    }
    streams = searched.texts()
    texts |= {"log": streams.pop("log"), "probe.json": file.read_text()}
    leftovers = {name for name in stored(stage) if "/probes/" in name}
    texts |= {name: text for name, text in stored(stage).items() if name not in leftovers}
    assert leaks(stage, vendor, texts) == []
    assert leaks(stage, vendor, streams, names=False) == []


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("fails", [False, True], ids=["success", "failure"])
def test_a_notifier_at_debug(stage, searched, vendor, fails):
    """The message of a run that ends well, and of one whose vendor quotes people."""
    sent: list[Any] = []
    notifier = SegmentExportNotifier(sent.append)
    stage.segment(planted(8))
    if fails:
        body = {"Code": 999, "message": f"{NAME}1@example.com", "error": f"{NAME}3%40example.com is {NAME}name"}
        stage.sim.faults([{"vendor": vendor, "path": ".*", "nth": 3, "count": 0, "status": 400, "body": body}])
    callbacks = {"on_failure_callback": notifier, "on_success_callback": notifier}
    dag = export_dag(f"notified_{vendor}_{fails}", stage.folder, conn_id=stage.connection(vendor), **callbacks)
    stage.begin(dag, watched=False).go(dag)
    assert len(sent) == 1
    assert bool(sent[0]["error"]) == fails
    texts = {"message": str(sent), **searched.texts(), **stored(stage)}
    assert leaks(stage, vendor, texts) == []
