"""Several exports of one audience, and what undo and approval hold them to, at every vendor."""

from __future__ import annotations

import pytest
from vendors.accounts import Account, people

from airflow_provider_segexport.errors import BadMatching


class TestMark:
    """The mark of an approved plan names where the plan goes."""

    def test_it_does_not_approve_another_audience(self, account: Account):
        """The same rows to a second audience are another plan."""
        mark = account.day(1, people(3), dry_run=True)["mark"]
        other = str(account.described["audiences"][1]["id"])
        first, account.audience = account.audience, other
        with pytest.raises(BadMatching, match="another one than was approved"):
            account.day(1, people(3), name="other", expect=mark)
        account.audience = first
        assert account.upserts() == []
        assert account.day(1, people(3), name="same", expect=mark)["counts"]["delivered"] == 3

    def test_it_does_not_approve_another_export(self, account: Account):
        """The name of the export belongs to the plan."""
        mark = account.day(1, people(3), dry_run=True, export="crm.one")["mark"]
        with pytest.raises(BadMatching, match="another one than was approved"):
            account.day(1, people(3), name="two", export="crm.two", expect=mark)
        assert account.day(1, people(3), name="one", export="crm.one", expect=mark)["counts"]["delivered"] == 3
