"""Airflow triggers that wait for import jobs or for a time. They carry ids and states, and no rows."""
