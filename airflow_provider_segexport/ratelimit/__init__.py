"""The vendor's rate limits, counted for all tasks that share an account."""
