"""Raw extracts -> one profile a person -> segments: the work of the DAG ``unification_refresh``."""
