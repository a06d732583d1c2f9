"""Every error that a core test brings up is read for people and secrets."""

from told import messages

__all__ = ["messages"]
