"""A connection or a Variable that Airflow cannot read now is not one that is missing."""

from __future__ import annotations

import httpx
import pytest
from airflow.sdk import BaseHook
from airflow.sdk.api import client
from airflow.sdk.execution_time import supervisor
from airflow.secrets.base_secrets import BaseSecretsBackend
from airflow_fixtures import export_dag

from airflow_provider_segexport.errors import RetryableError
from airflow_provider_segexport.hooks import lookups
from airflow_provider_segexport.hooks.oauth_store import VariableStore
from airflow_provider_segexport.http.oauth import Bearer, token_fingerprint
from airflow_provider_segexport.http.variable_lock import VariableLock
from airflow_provider_segexport.vendors.auth import OAuthToken

pytestmark = pytest.mark.airflow


class Vault(BaseSecretsBackend):
    """A secrets backend that fails until it is repaired, and that has no entry."""

    def __init__(self):
        self.error = RuntimeError("sealed, token s3cr3t")

    def get_connection(self, conn_id, **_):
        return self._answer()

    def get_variable(self, key, **_):
        return self._answer()

    def _answer(self):
        if self.error is not None:
            raise self.error


@pytest.fixture
def vault(monkeypatch):
    """A vault that Airflow asks first."""
    made, others = Vault(), supervisor.ensure_secrets_backend_loaded
    monkeypatch.setattr(supervisor, "ensure_secrets_backend_loaded", lambda: [made, *others()])
    return made


def begin(stage, dag_id, conn_id):
    """A run of an export that may be tried again."""
    stage.segment(3)
    dag = export_dag(dag_id, stage.folder, conn_id=conn_id, retries=3)
    return stage.begin(dag), dag


def test_a_vault_that_is_down_is_tried_again(stage, vault):
    """As soon as it works, its answer counts."""
    run, dag = begin(stage, "vault", "in_the_vault")
    assert "up_for_retry" == run.go(dag)
    assert "cannot be read, because the secrets backend Vault failed (RuntimeError)" in run.error
    assert "s3cr3t" not in run.error
    vault.error = None
    assert "failed" == run.go(dag)
    assert "There is no Airflow connection 'in_the_vault'" in str(run.errors[-1])


def test_a_vault_that_works_again_at_once_does_not_make_an_entry_missing(stage, vault, monkeypatch):
    """It fails once, and has the connection when it is asked again."""
    error, vault.error = vault.error, None
    answers = iter([error, object()])

    def answer():
        value = next(answers)
        if isinstance(value, Exception):
            raise value
        return value

    monkeypatch.setattr(vault, "_answer", answer)
    run, dag = begin(stage, "vault_blinks", "in_the_vault")
    assert "up_for_retry" == run.go(dag)
    assert "cannot be read, because a secrets backend or Airflow's API server failed (it works again)" in run.error


def test_a_variable_that_is_there_when_asked_again_is_read(monkeypatch):
    """The backend failed for a moment, or another process has just written the Variable."""
    answers = iter([None, "seen", "the login"])

    class MetastoreBackend(BaseSecretsBackend):
        def get_variable(self, key, **_):
            return next(answers)

    backend = MetastoreBackend()
    monkeypatch.setattr(supervisor, "ensure_secrets_backend_loaded", lambda: [backend])
    assert "the login" == lookups.read_variable("segexport_token_x")


def test_a_vault_without_connections_does_not_fail(stage, vault):
    """A backend need not offer both."""
    vault.error = NotImplementedError()
    run, dag = begin(stage, "variables_only", "nowhere")
    assert "failed" == run.go(dag)
    assert "There is no Airflow connection 'nowhere'" in run.error


def test_an_api_server_that_is_down_is_tried_again(stage, monkeypatch):
    """The API answers 503 for connections."""

    def unavailable(*_):
        request = httpx.Request("GET", "http://airflow.test")
        raise client.ServerResponseError(
            "down", request=request, response=httpx.Response(503, request=request, json={})
        )

    monkeypatch.setattr(client.ConnectionOperations, "get", unavailable)
    run, dag = begin(stage, "api_down", "in_the_database")
    assert "up_for_retry" == run.go(dag)
    assert "because Airflow's API server failed" in run.error


def test_a_connection_that_airflow_denies_is_not_a_broken_disk(stage, monkeypatch):
    """Airflow's exception for it is an OSError."""

    def denied(_):
        raise PermissionError

    monkeypatch.setattr(BaseHook, "get_connection", denied)
    run, dag = begin(stage, "denied", "of_another_team")
    assert "failed" == run.go(dag)
    assert "Airflow denies this task the connection 'of_another_team'" in run.error


def test_a_login_that_cannot_be_read_is_not_begun_again(stage, monkeypatch):
    """The vendor may accept the connection's first refresh token no more. No time is spent on the lock."""
    conn_id = stage.connection("constant_contact")
    run, dag = begin(stage, "login_unread", conn_id)
    started = stage.sim.clock.now()

    def unavailable(*_):
        request = httpx.Request("GET", "http://airflow.test")
        raise client.ServerResponseError(
            "down", request=request, response=httpx.Response(503, request=request, json={})
        )

    with monkeypatch.context() as patched:
        patched.setattr(client.VariableOperations, "get", unavailable)
        assert "up_for_retry" == run.go(dag)
    assert "The Variable 'segexport_token_" in run.error
    assert 60 > stage.sim.clock.now() - started
    assert not stage.arrived("token")
    assert "success" == run.go(dag)


def test_a_vault_that_denies_variables_holds_no_login(stage, vault):
    """A task stores the login in Airflow's database, so a first login does not wait for the vault."""
    connection = stage.connection("constant_contact")
    vault.get_connection = lambda conn_id, **_: None
    run, dag = begin(stage, "vault_denies", connection)
    assert "success" == run.go(dag)


class Texts(dict):
    """A text store that may be out of reach for reading."""

    is_down = False

    def get(self, key):
        if self.is_down:
            raise RetryableError("down")
        return super().get(key)

    def set(self, key, text, **_):
        self[key] = text

    def delete(self, key):
        self.pop(key, None)


def test_a_new_login_is_stored_although_the_store_cannot_be_read(tmp_path):
    """The vendor accepts the earlier refresh token no more, so the new one must not be lost."""
    texts = Texts()
    lock = VariableLock(texts, lambda: 1000.0, lambda _: None, tmp_path)
    store = VariableStore("conn", lock, ("vendor", "url", "client", "first"))
    new = OAuthToken("access", "second", expires_at=9000.0, renewed_at=1000.0)

    def exchange(_):
        texts.is_down = True
        return new

    bearer = Bearer(
        "first",
        store,
        exchange,
        is_expired=lambda _: True,
        on_secret=lambda _: None,
        clock=lock.clock,
        sleep=lock.sleep,
    )
    assert "access" == bearer.access_token()
    texts.is_down = False
    assert (new, token_fingerprint("first")) == store.load()
