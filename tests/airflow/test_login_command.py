"""`airflow segexport login`, with Airflow's database and the simulator."""

from __future__ import annotations

import json
from argparse import Namespace

import pytest

from airflow_provider_segexport.simulator import Simulator

pytestmark = pytest.mark.airflow


@pytest.fixture
def stored(airflow_db):
    """Puts a connection into Airflow's database, and takes it out again."""
    from airflow.models import Connection
    from airflow.utils.session import create_session

    def put(**fields):
        with create_session() as session:
            session.add(Connection(conn_id="cc_signing_in", **fields))

    yield put
    with create_session() as session:
        session.query(Connection).filter(Connection.conn_id == "cc_signing_in").delete()


def extra_of(conn_id: str) -> dict:
    from airflow.models import Connection

    return Connection.get_connection_from_secrets(conn_id).extra_dejson


def test_the_command_shows_the_code_and_fills_in_the_connection(stored, capsys) -> None:
    """After the approval the stored connection holds the refresh token, beside what it held before."""
    from airflow_provider_segexport.cli.login import login

    with Simulator(settings={"constant_contact": {"approve_devices": True, "device_interval": 0}}) as sim:
        vendor = sim.describe()["vendors"]["constant_contact"]
        stored(
            conn_type="constant_contact",
            host=vendor["base_url"],
            login=vendor["keys"]["public"]["client_id"],
            extra=json.dumps({"consented_by": "Ada"}),
        )
        login(Namespace(conn_id="cc_signing_in"))
    shown = capsys.readouterr().out
    extra = extra_of("cc_signing_in")
    assert "activate?user_code=" in shown
    assert extra["consented_by"] == "Ada"
    assert extra["refresh_token"]
    assert extra["refresh_token"] not in shown


def test_a_connection_that_airflow_reads_from_elsewhere_is_not_said_to_have_the_token(stored, capsys, monkeypatch):
    """An environment variable has priority over the database's connection of the same id."""
    from airflow_provider_segexport.cli.login import login

    with Simulator(settings={"constant_contact": {"approve_devices": True, "device_interval": 0}}) as sim:
        vendor = sim.describe()["vendors"]["constant_contact"]
        fields = {
            "conn_type": "constant_contact",
            "host": vendor["base_url"],
            "login": vendor["keys"]["public"]["client_id"],
        }
        stored(**fields)
        monkeypatch.setenv("AIRFLOW_CONN_CC_SIGNING_IN", json.dumps(fields))
        login(Namespace(conn_id="cc_signing_in"))
    shown = capsys.readouterr().out
    assert "Airflow does not read connection 'cc_signing_in' from its database" in shown
    assert '{"refresh_token": "' in shown


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"conn_type": "campaign_monitor"}, "needs no login by this command"),
        ({"conn_type": "http"}, "needs one of these types"),
        ({"conn_type": "constant_contact"}, "has no client id"),
    ],
)
def test_a_connection_that_cannot_log_in_gets_an_error_that_says_why(stored, fields, message) -> None:
    """A vendor with keys, a foreign type, and a missing client id each end in one sentence."""
    from airflow_provider_segexport.cli.login import login

    stored(**fields)
    with pytest.raises(SystemExit, match=message):
        login(Namespace(conn_id="cc_signing_in"))


def test_an_unknown_connection_is_an_error(airflow_db) -> None:
    """The command says to make the connection first."""
    from airflow_provider_segexport.cli.login import login

    with pytest.raises(SystemExit, match="There is no connection"):
        login(Namespace(conn_id="nobody"))


def test_airflow_lists_the_command(airflow_db) -> None:
    """`airflow segexport` is there, from the provider's metadata."""
    from airflow.cli.cli_parser import get_parser

    help_text = get_parser().format_help()
    assert "segexport" in help_text
