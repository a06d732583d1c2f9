"""Counts the calls to vendor accounts against their rate limits, across all tasks that share an account."""
