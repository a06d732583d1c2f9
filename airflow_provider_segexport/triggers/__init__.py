"""Airflow triggers: they wait, and carry ids and states only."""
