"""Asks a vendor account what the vendor's documentation leaves open, on addresses of the user's own."""
