"""`airflow segexport probe`: gates, refusals, exit codes and output, and the pages that show it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_segexport import __version__
from airflow_provider_segexport.hooks import get_hook, probing
from airflow_provider_segexport.hooks.constant_contact import ConstantContactHook
from airflow_provider_segexport.hooks.holding import hold_audience
from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.probe.leftovers import Leftover
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.takeover import longest_call_s
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow

WITH_PROBE = [name for name, vendor in VENDORS.items() if vendor.probe]
PATTERN = "me+{n}@my-domain.example"
PAGES = Path(__file__).resolve().parents[2] / "docs" / "first-export"


@pytest.fixture
def probe(stage, command, tmp_path, monkeypatch):
    """`probe("dotdigital", "--yes")` runs the command on a list that is made for it; returns exit code and text."""
    monkeypatch.chdir(tmp_path)
    # The limiter counts by real time, and the simulator's clock moves by sleeping.
    limits = replace(ConstantContactHook.vendor.limits, rates=())
    monkeypatch.setattr(ConstantContactHook, "vendor", replace(ConstantContactHook.vendor, limits=limits))
    stage.sim.configure({"constant_contact": {"calls_per_second": None}})

    def go(vendor, *options, conn_id=None, audience="name:segexport-probe", address=PATTERN):
        conn_id = conn_id or stage.connection(vendor, f"{vendor}_first")
        hook = get_hook(conn_id)
        if hook.vendor.directory is not None and audience == "name:segexport-probe":
            account = hook.run_operation(hook.vendor.resolve_audience(hook.settings.endpoint, None))
            if "segexport-probe" not in {entry.name for entry in hook.list_audiences()}:
                hook.run_operation(hook.vendor.directory.create(account, "segexport-probe"))
        return command("probe", conn_id, "--audience", audience, "--address", address, *options)

    return go


def answers():
    return json.loads(Path("probe.json").read_text())


def shown_on(page):
    """The output that a page shows of the command."""
    block = re.search(r"airflow segexport probe .*?```text\n(.*?)```", page.read_text(), re.DOTALL)
    return block[1] if block else ""


@pytest.mark.parametrize("vendor", WITH_PROBE)
def test_the_page_of_the_first_export_shows_what_the_command_prints(probe, vendor):
    """Word by word, against the simulator; the answers are in probe.json too."""
    code, text = probe(vendor, "--yes")
    shown = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(("Asking ", "20")))
    page = PAGES / f"{vendor.replace('_', '-')}.md"
    assert shown.strip().replace(__version__, "0.1.0") == shown_on(page).strip()
    assert code == 0
    report = answers()
    assert (report["vendor"], report["simulated"], report["exit_code"]) == (vendor, True, 0)
    assert {row["result"] for row in report["questions"]} <= {"as assumed", "not asked"}
    assert "my-domain" not in Path("probe.json").read_text()


def test_an_answer_that_differs(stage, probe):
    """Exit code 3; the account's record has it, and a plan of an export keeps to it."""
    stage.sim.configure({"dotdigital": {"max_delete_ids": 500}})
    code, text = probe("dotdigital", "--yes", "--only", "ids_per_removal", "--only", "rate_headers")
    assert code == 3
    assert "This is recorded for the account." in text
    assert [row["result"] for row in answers()["questions"]] == ["differs", "not asked"]
    stage.segment(3)
    run = stage.export(conn_id="dotdigital_first", dag_id="after_a_probe")
    assert run.summary()["account_facts"]["ids_per_removal"]["value"] == "500"


def test_json_is_all_that_standard_output_holds(probe, capsys):
    code, text = probe("omnisend", "--yes", "-o", "json", "--only", "rate_headers", "--file", "other.json")
    assert code == 0
    assert json.loads(text) == json.loads(Path("other.json").read_text())


def test_a_list_of_the_questions(stage, command, probe):
    """Without any call."""
    conn_id = stage.connection("omnisend")
    code, text = command("probe", conn_id, "--list")
    assert code == 0
    assert "tags_on_upsert" in text
    assert stage.sim.requests(vendor="omnisend") == []


def test_a_dry_run_sends_nothing(stage, probe):
    code, text = probe("campaign_monitor", "--dry-run")
    assert code == 0
    assert "rejections" in text
    assert stage.nothing_was_sent()
    assert not Path("probe.json").exists()


@pytest.mark.parametrize(("answer", "sent"), [("n", False), ("y", True)])
def test_it_asks_first(stage, probe, monkeypatch, answer, sent):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    code, _ = probe("dotdigital", "--only", "new_status")
    assert code == (0 if sent else 1)
    assert stage.nothing_was_sent() is not sent


def test_without_a_terminal_it_needs_yes(stage, probe):
    code, text = probe("dotdigital")
    assert code == 1
    assert "--yes" in text
    assert stage.nothing_was_sent()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("me@my-domain.example", "must have {n} once"),
        ("me+{n}{n}@my-domain.example", "must have {n} once"),
        ("me@{n}.example", "must have {n} once"),
        ("{n}@my-domain.example", "no letter before the @"),
        ("me+{n}", "must have {n} once"),
        ("me {n}@my domain.example", "no valid email address"),
    ],
)
def test_an_address_that_cannot_be_used(stage, probe, address, expected):
    code, text = probe("dotdigital", "--yes", address=address)
    assert code == 1
    assert expected in text
    assert stage.nothing_was_sent()


@pytest.mark.parametrize("domain", ["example.com", "mail.example.org", "my-domain.example", "a.test"])
def test_an_example_domain_at_a_real_vendor(stage, command, tmp_path, monkeypatch, domain):
    """It is refused before any call."""
    monkeypatch.chdir(tmp_path)
    conn_id = stage.connection("omnisend", host="https://api.omnisend.com")
    code, text = command("probe", conn_id, "--audience", "t", "--address", f"me+{{n}}@{domain}", "--yes")
    assert code == 1
    assert "belongs to no one" in text


@pytest.mark.parametrize("vendor", WITH_PROBE)
def test_an_audience_with_other_people(stage, probe, vendor):
    """It is refused, and no person in it is touched."""
    audience = stage.audience(vendor, 1)
    stage.sim.seed(vendor, [{"email": "customer@example.com"}], audience)
    code, text = probe(vendor, "--yes", audience=audience)
    assert code == 1
    assert "1 person beside the addresses of the probe" in text
    assert "customer@" not in text
    assert stage.nothing_was_sent()


def test_an_audience_that_exports_have_written(stage, probe):
    stage.segment(2)
    conn_id = stage.connection("dotdigital", "dotdigital_first")
    assert stage.export(conn_id=conn_id, dag_id="writes").state == "success"
    code, text = probe("dotdigital", "--yes", audience=stage.audience("dotdigital"))
    assert code == 1
    assert "Exports have written the address book" in text


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"export_enabled": False}, "are disabled"),
        ({"privacy_consent": False}, "no consent"),
        ({"consented_by": ""}, "does not name who consented"),
    ],
)
def test_the_gates_of_the_connection(stage, probe, extra, expected):
    code, text = probe("dotdigital", "--yes", conn_id=stage.connection("dotdigital", extra=extra), audience="1")
    assert code == 1
    assert expected in text
    assert stage.sim.requests(vendor="dotdigital") == []


@pytest.mark.parametrize("options", [("--only", "nothing"), ("--file", "/"), ("--file", "no/such/folder/probe.json")])
def test_other_arguments_that_cannot_be_used(stage, probe, options):
    code, text = probe("dotdigital", "--yes", *options)
    assert code == 1
    assert "To fix:" in text
    assert stage.nothing_was_sent()


def test_answers_are_printed_also_if_the_file_cannot_be_written(probe):
    """A full disk is noticed after the last question."""
    code, text = probe("dotdigital", "--yes", "--only", "rate_headers", "--file", "/dev/full")
    assert code == 1
    assert "| rate_headers" in text
    assert "No space left" in text


def test_an_audience_that_another_run_writes(stage, probe):
    """An export or another probe holds it: nothing is sent."""
    hook = get_hook(stage.connection("dotdigital", "dotdigital_first"))
    probe("dotdigital", "--dry-run")
    with hold_audience(hook, hook.resolve_audience("name:segexport-probe"), "export"):
        code, text = probe("dotdigital", "--yes")
    assert code == 1
    assert "segexport/export" in text
    assert "To fix: try again when the other run has ended." in text
    assert "resumes" not in text
    assert stage.nothing_was_sent()


@pytest.mark.parametrize("vendor", WITH_PROBE)
def test_a_probe_of_another_audience_of_the_account(stage, probe, vendor):
    """It runs at the same time: nothing is sent, because the two would change each other's answers."""
    probe(vendor, "--dry-run")
    hook = get_hook(stage.connection(vendor, f"{vendor}_first"))
    other = "another" if vendor == "omnisend" else stage.audience(vendor, 1)
    with probing.open_probe(hook, other, print) as context, probing.hold_for_probe(hook, context):
        code, text = probe(vendor, "--yes", "--only", "values")
    assert code == 1
    assert "Another probe of the" in text
    assert "try again when the other run has ended" in text
    assert stage.nothing_was_sent()
    assert probe(vendor, "--yes", "--only", "rate_headers")[0] == 0


def test_a_probe_of_another_audience_that_was_killed(stage, probe, monkeypatch):
    """The next probe of the account waits until its calls have ended, and says that it is not undone."""
    probe("dotdigital", "--dry-run")
    hook = get_hook(stage.connection("dotdigital", "dotdigital_first"))
    host, namespace, _ = probing.process_name().split(":")
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    with monkeypatch.context() as dying, probing.open_probe(hook, stage.audience("dotdigital", 1), print) as context:
        leftover = Leftover("dotdigital", context.audience.account, context.audience.audience, "values", (), "ab", 1.0)
        context.leftovers.write(leftover)
        dying.setattr(Lease, "release", lambda _: None)
        dying.setattr(probing, "process_name", lambda: f"{host}:{namespace}:{child.pid}")
        with probing.hold_for_probe(hook, context):
            pass
    waits = []
    monkeypatch.setattr(type(hook), "interruptible_sleep", lambda _, seconds: waits.append(seconds))
    code, text = probe("dotdigital", "--yes", "--only", "rate_headers")
    assert code == 0
    assert longest_call_s(hook.vendor) in waits
    assert "1 other address book of the account has a probe that was not undone" in text


def test_a_probe_whose_process_has_died_holds_nothing(stage, probe):
    """Only a process of this machine that is gone counts as dead."""
    host, namespace, own = probing.process_name().split(":")
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    names = {f"{host}:{namespace}:{child.pid}": False, f"{host}:{namespace}:{own}": True}
    names |= {f"elsewhere:{namespace}:{child.pid}": None, f"{host}:1:{child.pid}": None, "x": None}
    assert {name: probing._is_running(f"segexport/probe/{name}:ab") for name in names} == names


def test_the_report_holds_no_address_and_the_leftovers_are_private(stage, probe):
    """The vendor is down in the middle: the file of what is left holds the addresses, readable by its owner alone."""
    dead = {"vendor": "dotdigital", "path": "/contacts/v3/import/.*", "nth": 1, "count": 400, "status": 500, "body": {}}
    stage.sim.faults([dead])
    code, text = probe("dotdigital", "--yes")
    assert code == 1
    assert "my-domain" not in text.replace("me+1@my-domain.example ... me+9@my-domain.example", "")
    assert "my-domain" not in Path("probe.json").read_text()
    stage.sim.clear_faults()
    for path in Path(str(state_path())).rglob("probes/**/*.json"):
        assert path.stat().st_mode & 0o077 == 0
