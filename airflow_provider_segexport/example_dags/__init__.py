"""Example DAGs, one a vendor. Each needs only a connection; replace `write_segment` with your own upstream task."""
