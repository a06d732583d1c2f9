"""The vendors' simulator, as in `tests/vendors`."""

from message_guard import messages
from vendors.conftest import published, sim, simulator

__all__ = ["messages", "published", "sim", "simulator"]
