"""What touches the world: HTTP, folders, the ledger, the columnar engine."""
