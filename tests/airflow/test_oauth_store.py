"""A renewed login is stored under its first token: Test, tasks and connections share it, and old ones are removed."""

from __future__ import annotations

import inspect
import json
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest
from airflow.models.variable import Variable
from airflow.sdk import DAG, task
from airflow.utils.session import create_session
from airflow_fixtures import people

from airflow_provider_segexport.errors import AuthenticationFailed
from airflow_provider_segexport.hooks import get_hook, oauth_store
from airflow_provider_segexport.hooks.oauth_store import VARIABLE_PREFIX, Variables, VariableStore
from airflow_provider_segexport.http.oauth import token_fingerprint
from airflow_provider_segexport.http.variable_lock import VariableLock
from airflow_provider_segexport.vendors.auth import OAuthToken

pytestmark = pytest.mark.airflow

VENDOR, URL, CLIENT = "constant_contact", "https://api.example.com", "client"


@pytest.fixture(autouse=True)
def no_variables(airflow_db):
    """Every test begins and ends without a stored login."""

    def clear():
        with create_session() as session:
            session.query(Variable).filter(Variable.key.startswith(VARIABLE_PREFIX)).delete(synchronize_session=False)

    clear()
    yield
    clear()


def stored_logins():
    """The names of Variables that hold a login."""
    with create_session() as session:
        return sorted(key for (key,) in session.query(Variable.key).filter(Variable.key.startswith(VARIABLE_PREFIX)))


class Anybody:
    """Allows every user everything."""

    def is_authorized_connection(self, **_):
        return True


@pytest.fixture
def routes(monkeypatch):
    """Airflow's endpoints of connections, whose import takes four seconds."""
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")
    return import_module("airflow.api_fastapi.core_api.routes.public.connections")


def press_test(routes, conn_id):
    """The Test button's request: Airflow's own endpoint, which tests under a random connection id."""
    about = json.loads(os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"])
    body = routes.ConnectionBody(
        connection_id=conn_id,
        conn_type=about["conn_type"],
        host=about["host"],
        port=about["port"],
        login=about.get("login"),
        password=about.get("password"),
        extra=json.dumps(about["extra"]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Airflow, about a part of itself
        newer = len(inspect.signature(routes.test_connection).parameters) > 1  # from Airflow 3.3
        return routes.test_connection(body, None, Anybody()) if newer else routes.test_connection(body)


def test_after_a_test_in_the_ui_the_export_goes_on_with_the_same_sign_in(stage, routes):
    """The Test has used the single-use refresh token; the export finds what it brought, and nothing is orphaned."""
    conn_id = stage.connection("constant_contact")
    tested = press_test(routes, conn_id)
    assert tested.status, tested.message
    assert 1 == len(stored_logins())
    stage.segment(people(3))
    assert "success" == stage.export(conn_id=conn_id).state
    assert press_test(routes, conn_id).status
    assert 1 == len(stored_logins())
    assert 1 == len([call for call in stage.sim.requests() if call["path"].endswith("/token")])


def test_two_connections_with_one_token_share_its_sign_in(stage):
    """A copy of a connection works, whichever of the two renews."""
    first, second = stage.connection("constant_contact"), stage.connection("constant_contact")
    assert get_hook(first).test_connection()[0]
    assert get_hook(second).test_connection()[0]
    assert 1 == len(stored_logins())


def test_campaign_monitors_oauth_is_kept_in_the_same_way(stage, routes):
    """Every vendor with OAuth goes through the one store."""
    oauth = stage.vendor("campaign_monitor")["credentials"]["oauth"]
    conn_id = stage.connection("campaign_monitor", password=None, extra={"refresh_token": oauth["refresh_token"]})
    tested = press_test(routes, conn_id)
    assert tested.status, tested.message
    assert 1 == len(stored_logins())
    assert get_hook(conn_id).test_connection()[0]
    assert 1 == len(stored_logins())


class MemoryVariables:
    """Named texts in memory."""

    def __init__(self):
        self.texts = {}

    def get(self, key):
        return self.texts.get(key)

    def set(self, key, text):
        self.texts[key] = text

    def delete(self, key):
        self.texts.pop(key, None)

    def keys(self, prefix):
        return [key for key in self.texts if key.startswith(prefix)]


@pytest.fixture
def variables(monkeypatch):
    """Stored texts, as a task sees them."""
    monkeypatch.setattr(oauth_store, "in_task_or_trigger", lambda: True)
    return MemoryVariables()


def store(variables, conn_id, refresh, now=1e9, tmp=None):
    claims = VariableLock(variables, lambda: now, lambda _: None, **({"locks": tmp} if tmp else {}))
    return VariableStore(conn_id, claims, (VENDOR, URL, CLIENT, refresh))


def token(name, renewed_at=1e9):
    return OAuthToken(f"access of {name}", f"refresh of {name}", renewed_at + 86_400, renewed_at)


def test_a_new_sign_in_removes_the_one_that_it_replaces(variables):
    """The connection has another refresh token now: what the old one had become is removed."""
    store(variables, "cc", "old").save(token("old"), token_fingerprint("old"))
    store(variables, "cc", "new").save(token("new"), token_fingerprint("new"))
    assert [store(variables, "cc", "new").key] == list(variables.texts)


def test_a_sign_in_that_another_connection_uses_is_kept(variables):
    """The other one may never have renewed it: that it reads it counts."""
    store(variables, "cc", "old").save(token("old"), token_fingerprint("old"))
    assert store(variables, "copy", "old").load() == (token("old"), token_fingerprint("old"))
    store(variables, "cc", "new").save(token("new"), token_fingerprint("new"))
    assert store(variables, "copy", "old").load() == (token("old"), token_fingerprint("old"))
    store(variables, "copy", "new").save(token("newer"), token_fingerprint("new"))
    assert store(variables, "copy", "new").load() == (token("newer"), token_fingerprint("new"))


def test_a_sign_in_that_was_unused_for_half_a_year_is_removed(variables):
    """Its refresh token is void at the vendor; a younger one of another connection stays."""
    store(variables, "gone", "a", now=1e9).save(token("a", 1e9), token_fingerprint("a"))
    store(variables, "other", "b", now=1e9).save(token("b", 1.015e9), token_fingerprint("b"))
    store(variables, "cc", "c", now=1.016e9).save(token("c", 1.016e9), token_fingerprint("c"))
    assert {store(variables, "other", "b").key, store(variables, "cc", "c").key} == set(variables.texts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "text",
        '{"fingerprint": 1}',
        '{"fingerprint": "m", "conn_ids": [], "access_token": 1}',
        "7",
    ],
)
def test_a_variable_that_a_person_has_changed_is_no_sign_in(variables, text):
    """It is passed over, and the connection's own refresh token is tried."""
    mine = store(variables, "cc", "first")
    variables.set(mine.key, text)
    variables.set(f"{VARIABLE_PREFIX}another", text)
    assert mine.load() is None
    mine.save(token("first"), token_fingerprint("first"))
    assert mine.load() == (token("first"), token_fingerprint("first"))


def test_a_name_tells_nothing_of_the_token(variables):
    """It differs by vendor, client and token, and Airflow masks Variables of such a name."""
    mine = store(variables, "cc", "secret-refresh-token")
    assert "secret" not in mine.key
    assert mine.key.startswith("segexport_token_")
    assert (
        mine.key
        != VariableStore("cc", VariableLock(variables, None, None), (VENDOR, URL, "other", "secret-refresh-token")).key
    )


def test_a_renewed_token_is_stored_even_if_the_first_tries_fail(variables, caplog):
    """The vendor has made the old one void: a database that is away for seconds must not cost the login."""
    real, left = variables.set, [2]

    def failing(key, text):
        if left[0] and not key.endswith("_renewal"):
            left[0] -= 1
            raise OSError
        real(key, text)

    variables.set = failing
    store(variables, "cc", "first").save(token("first"), token_fingerprint("first"))
    assert store(variables, "cc", "first").load() == (token("first"), token_fingerprint("first"))
    assert "Retrying to store the login" in caplog.text


def test_two_tasks_that_rotate_at_once_end_with_one_sign_in(real_time):
    """One renews, the other waits for the claim and uses what it brought."""
    stage = real_time
    conn_id = stage.connection("constant_contact")
    with DAG("rotates", schedule=None) as dag:

        @task
        def both():
            with ThreadPoolExecutor(2) as pool:
                return sorted({*pool.map(lambda _: get_hook(conn_id).test_connection()[0], range(2))})

        both()
    with ThreadPoolExecutor(2) as pool:
        works = list(pool.map(lambda _: get_hook(conn_id).test_connection(), range(2)))
    assert [True, True] == [good for good, _ in works], works
    assert [True] == stage.run(dag).summary("both")
    assert 1 == len([call for call in stage.sim.requests() if call["path"].endswith("/token")])
    (key,) = stored_logins()
    names = json.loads(Variables().get(key))["conn_ids"]
    assert [conn_id] == names


def test_a_token_that_was_used_up_elsewhere_says_so(stage, monkeypatch):
    """Without the stored login the vendor rejects the first token for good."""
    conn_id = stage.connection("constant_contact")
    assert get_hook(conn_id).test_connection()[0]
    Variable.delete(stored_logins()[0])
    stage.sim.clock.advance(5)
    with pytest.raises(AuthenticationFailed, match="rejects the refresh token"):
        get_hook(conn_id).resolve_audience()


@pytest.mark.parametrize(
    ("vendor", "changes", "text"),
    [
        ("dotdigital", {"login": None}, "This connection has no API user"),
        ("dotdigital", {"extra": {"verify": "maybe/not"}}, "This connection: `verify`"),
        ("dotdigital", {"extra": {"export_enabled": False}}, "Exports through this connection are disabled"),
        ("omnisend", {"password": "a key"}, "The API key of this connection"),
        ("constant_contact", {"extra": {"refresh_token": None}}, "`airflow segexport login CONN_ID`"),
    ],
)
def test_the_test_button_does_not_name_the_random_id_of_airflow(stage, monkeypatch, routes, *, vendor, changes, text):
    """Airflow tests a connection under an id that its user has never seen."""
    ids = []
    make_id = routes.get_random_string
    monkeypatch.setattr(routes, "get_random_string", lambda: ids.append(make_id()) or ids[-1])
    tested = press_test(routes, stage.connection(vendor, **changes))
    assert text in tested.message
    assert ids[0] not in tested.message
