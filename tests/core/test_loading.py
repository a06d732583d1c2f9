"""Modules are loaded without looking for garbage, and afterwards it is looked for as before."""

from __future__ import annotations

import gc
from contextlib import nullcontext

import pytest

from airflow_provider_segexport.operators.loading import gc_disabled


@pytest.mark.parametrize("was_on", [True, False])
@pytest.mark.parametrize("fails", [False, True])
def test_collecting_goes_on_as_it_was(was_on, fails):
    """Also where an import fails, and where the caller has disabled it."""
    before = gc.isenabled()
    (gc.enable if was_on else gc.disable)()
    try:
        with pytest.raises(ImportError) if fails else nullcontext(), gc_disabled():
            assert not gc.isenabled()
            if fails:
                raise ImportError
        assert gc.isenabled() == was_on
    finally:
        (gc.enable if before else gc.disable)()
