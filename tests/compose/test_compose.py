"""Checks of the compose file and the image without a container engine: no image is built or run here."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import airflow.config_templates
import pytest
import yaml

from airflow_provider_segexport import get_provider_info

REPO = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
FILE = REPO / "docker-compose.yaml"
COMPOSE = yaml.safe_load(FILE.read_text())
SERVICES = COMPOSE["services"]
ONCE = {name for name, service in SERVICES.items() if service.get("restart") == "no"}
SECRETS = re.compile(r"KEY|SECRET|PASSWORD|TOKEN|SQL_ALCHEMY_CONN|RESULT_BACKEND")
BY_REFERENCE = re.compile(r"_(CMD|FILE|PASSWORDS_FILE)$")


def tool(name: str) -> str:
    """A command, from this environment or the machine."""
    path = shutil.which(name, path=BIN) or shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not to be had here")
    return path


def run_tool(*command: str) -> tuple[int, str]:
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_compose_file_keeps_to_the_compose_specification():
    """The current schema of the specification, which check-jsonschema brings along."""
    code, output = run_tool(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(FILE))
    assert 0 == code, output


def test_docker_compose_reads_the_file():
    """Debian's docker-compose resolves anchors and references without an engine."""
    code, output = run_tool(tool("docker-compose"), "-f", str(FILE), "config", "--quiet")
    assert 0 == code, output


def test_the_dockerfile_has_no_fault_that_hadolint_knows():
    """Every stage parses, every instruction is known, shell lines pass shellcheck."""
    code, output = run_tool(tool("hadolint"), str(REPO / "Dockerfile"))
    assert 0 == code, output


def copied() -> list[str]:
    """Paths that the Dockerfile copies from the checkout."""
    text = (REPO / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split()[1:] for line in text.splitlines() if line.startswith("COPY ") and "--from=" not in line]
    return [source for line in lines for source in [word for word in line if not word.startswith("--")][:-1]]


def test_every_path_that_the_image_copies_is_there_and_is_let_through():
    """A path that .dockerignore holds back is missing at build time only."""
    allowed = [line[1:] for line in (REPO / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert dict.fromkeys(copied(), True) == {
        source: (REPO / source).exists()
        and any(Path(source).match(pattern) or source.startswith(f"{pattern}/") for pattern in allowed)
        for source in copied()
    }
    assert copied()


def test_every_requirement_of_the_image_is_pinned_with_hashes():
    """The content of an image follows from the checkout, and from nothing else."""
    for name in (source for source in copied() if source.startswith("requirements/")):
        pins = re.split(r"\n(?=[A-Za-z0-9])", (REPO / name).read_text())
        loose = [pin.split()[0] for pin in pins if re.match(r"[A-Za-z0-9]", pin) and "--hash=sha256:" not in pin]
        assert [] == loose, name


def test_ports_are_on_loopback_only():
    """Only this machine reaches the cluster."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert [] == [port for port in ports if not port.startswith("127.0.0.1:")]
    assert ports


def test_no_secret_stands_in_the_file():
    """Whatever sounds like a secret is read from a file of the keys' volume."""
    secrets = {
        f"{name} {key}": value
        for name, service in SERVICES.items()
        for key, value in service.get("environment", {}).items()
        if SECRETS.search(key)
    }
    assert {} == {key: value for key, value in secrets.items() if not BY_REFERENCE.search(key) or "/keys" not in value}
    assert secrets


def test_every_service_that_stays_has_a_health_check():
    """`up --wait` reports whether the cluster is healthy."""
    assert [] == [name for name, service in SERVICES.items() if name not in ONCE and "healthcheck" not in service]


def test_services_wait_for_what_they_need():
    """A service that waits for a healthy one needs its health check; one that waits for an end, a service that ends."""
    waits = [
        (needed, how["condition"])
        for service in SERVICES.values()
        for needed, how in service.get("depends_on", {}).items()
    ]
    assert [] == [
        (needed, condition)
        for needed, condition in waits
        if (condition == "service_completed_successfully") != (needed in ONCE)
    ]
    assert {"service_completed_successfully", "service_healthy"} == {condition for _, condition in waits}


def test_the_database_and_the_broker_are_out_of_reach():
    """They stand in a network without a way out, and publish no port."""
    assert COMPOSE["networks"]["core"]["internal"] is True
    for name in ("postgres", "redis", "store"):
        assert (["core"], None) == (SERVICES[name]["networks"], SERVICES[name].get("ports")), name


def test_every_option_is_one_that_airflow_or_this_provider_knows():
    """Airflow does not report a misspelt option: it has no effect."""
    described = yaml.safe_load((Path(airflow.config_templates.__path__[0]) / "config.yml").read_text())
    described |= get_provider_info()["config"]
    options = {
        (section, option): option_entry
        for section, section_options in described.items()
        for option, option_entry in section_options["options"].items()
    }
    # The provider for Celery is in the cluster's environment only.
    options |= {
        ("celery", option): {"sensitive": True} for option in ("result_backend", "broker_url", "worker_concurrency")
    }
    faults = []
    for name, service in SERVICES.items():
        for key in service.get("environment", {}):
            if parts := re.fullmatch(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+?)(_CMD)?", key):
                option_of_key = options.get((parts[1].lower(), parts[2].lower()))
                if option_of_key is None or (parts[3] and not option_of_key.get("sensitive")):
                    faults.append(f"{name} {key}")
    assert [] == faults


def make_keys(folder: Path) -> dict[str, str]:
    script, address = REPO / "compose" / "keys.py", "airflow@postgres:5432/airflow"
    command = [sys.executable, str(script), str(folder / "keys"), str(folder / "postgres"), address]
    subprocess.run(command, check=True)
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_keys_are_made_once(tmp_path):
    """A second start finds the keys of the first: what was encrypted stays readable."""
    first = make_keys(tmp_path)
    assert first == make_keys(tmp_path)
    assert {
        "keys/api_secret_key",
        "keys/fernet_key",
        "keys/jwt_secret",
        "keys/passwords.json",
        "keys/result_backend",
        "keys/sql_alchemy_conn",
        "keys/store.json",
        "postgres/password",
    } == set(first)


def test_only_the_owner_reads_the_keys(tmp_path):
    """But for the one password that another container reads as a user of its own."""
    made = make_keys(tmp_path)
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in made}
    assert {**dict.fromkeys(made, 0o600), "postgres/password": 0o644} == modes


def test_two_clusters_have_different_keys(tmp_path):
    """No key is written in the checkout."""
    keys, other = make_keys(tmp_path / "one"), make_keys(tmp_path / "other")
    assert [] == [name for name in keys if keys[name] == other[name]]


def test_the_database_password_is_in_what_airflow_reads(tmp_path):
    """PostgreSQL's container and Airflow's have the same credentials."""
    made = make_keys(tmp_path)
    wanted = f"airflow:{made['postgres/password']}@postgres:5432/airflow"
    assert [f"postgresql+psycopg2://{wanted}", f"db+postgresql://{wanted}"] == [
        made["keys/sql_alchemy_conn"],
        made["keys/result_backend"],
    ]
    assert {"admin"} == set(json.loads(made["keys/passwords.json"]))


def test_a_new_start_keeps_the_users_object_store(monkeypatch, tmp_path):
    """The connections to the simulator are restored; `object_store` may point to another bucket by now."""
    monkeypatch.syspath_prepend(str(REPO / "compose"))
    first_start = importlib.import_module("first_start")
    make_keys(tmp_path)
    imported: dict[str, tuple[str, ...]] = {}
    monkeypatch.setattr(first_start, "airflow", lambda *_: None)
    monkeypatch.setattr(first_start, "make_bucket", lambda *_: None)
    monkeypatch.setattr(first_start, "simulator_connections", lambda url: ({"omnisend_default": {}}, {}))
    monkeypatch.setattr(
        first_start, "import_objects", lambda kind, content, *more: imported.update(dict.fromkeys(content, more))
    )
    monkeypatch.setattr(sys, "argv", ["first_start.py", str(tmp_path / "keys"), "http://store", "b", "http://sim"])
    first_start.main()
    assert {"object_store": (), "omnisend_default": ("--overwrite",), "segexport_audiences": ()} == imported
