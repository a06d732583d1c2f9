"""Finds out from a vendor account what the vendor does not document, with addresses of the user's own."""
