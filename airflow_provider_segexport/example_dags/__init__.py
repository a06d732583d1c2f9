"""Example DAGs, one for each vendor. Each needs only a connection; replace `write_segment` with your upstream task."""
