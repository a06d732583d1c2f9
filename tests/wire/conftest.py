"""The vendors' simulator, as in `tests/vendors`."""

from told import messages
from vendors.conftest import sim, simulator

__all__ = ["messages", "sim", "simulator"]
