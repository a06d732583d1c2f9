"""One cluster for all of its tests: it takes a minute to start."""

from __future__ import annotations

import pytest
from cluster.servers import missing
from cluster.topology import running


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The compose file's topology as plain processes."""
    if why := missing():
        pytest.skip(why)
    with running(tmp_path_factory.mktemp("cluster")) as cluster_under_test:
        yield cluster_under_test
