"""The page on the simulator in a user's CI, run as a user would: its own files, in a process of their own."""

from __future__ import annotations

import os

import pytest
from docs.pages import DOCS, blocks

PAGE = [block for block in blocks(DOCS / "simulator-in-ci.md") if block.title]


def write(pytester: pytest.Pytester, *titles: str, conftest: int) -> None:
    """The page's files in a folder of their own; it shows two stages of the conftest."""
    stages = [block.text for block in PAGE if block.title == "conftest.py"]
    (pytester.path / "conftest.py").write_text(stages[conftest])
    for block in PAGE:
        if block.title in titles:
            (pytester.path / block.title).parent.mkdir(exist_ok=True)
            (pytester.path / block.title).write_text(block.text)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what our own tests have put into the environment."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("alone")
def test_the_first_line_is_all_that_a_hook_needs(pytester):
    """Exports by hooks and scripted faults work with the one-line conftest, without a database."""
    write(pytester, "test_newsletter.py", "test_faults.py", conftest=0)
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=2)


@pytest.mark.usefixtures("alone")
def test_a_dag_is_tested_at_every_vendor(pytester):
    """`dag.test()` exports through connections that the fixtures have put into the environment."""
    write(pytester, "dags/newsletter.py", "test_dag.py", conftest=1)
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.usefixtures("alone")
def test_no_test_sees_what_another_has_left(pytester):
    """Accounts, faults, ledgers and connections are new for each test, in any order, also after a renewed login."""
    write(pytester, conftest=1)
    pytester.makepyfile(
        """
        import os
        import pandas as pd
        import pytest
        from airflow_provider_segexport.hooks.constant_contact import ConstantContactHook

        FRAME = pd.DataFrame({"email": ["ada@example.com"]})

        @pytest.mark.parametrize("time", [1, 2, 3])
        def test_again(segexport_connections, sim, time):
            sim.faults([{"contains": "nobody@example.com", "status": 500}])
            assert len(sim.fault_script()) == 1
            hook = ConstantContactHook(segexport_connections["constant_contact"])
            assert hook.export(FRAME, field_mapping={"email": "email"})["counts"]["delivered"] == 1

        def test_without():
            assert not [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]

        def test_another_name(segexport_connect, sim):
            conn_id = segexport_connect("constant_contact", "newsletter_eu", allowed_dags="", export_enabled=False)
            assert "AIRFLOW_CONN_NEWSLETTER_EU" in os.environ
            with pytest.raises(Exception, match="disabled"):
                ConstantContactHook(conn_id).export(FRAME, field_mapping={"email": "email"})
        """
    )
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=5)
