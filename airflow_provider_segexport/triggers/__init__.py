"""Airflow triggers, which wait. They carry ids and states, and no rows."""
