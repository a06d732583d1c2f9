"""Looks up and erases one person in all audiences, ledgers and run folders."""
