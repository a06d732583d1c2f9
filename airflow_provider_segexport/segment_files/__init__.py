"""The user's files: finds, checks and reads segments and suppression lists."""
