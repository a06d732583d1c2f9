"""The HTTP client: retries, response limits, OAuth2 logins and concurrent calls."""
