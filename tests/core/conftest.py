"""Every error that a core test brings up is read for people and secrets."""

from message_guard import messages

__all__ = ["messages"]
