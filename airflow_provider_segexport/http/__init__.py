"""The HTTP client: retries, limits on responses, OAuth and calls in flight."""
