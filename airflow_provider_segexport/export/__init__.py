"""Exports: the configuration of a run, its checks, its plan, and the pipeline that executes it."""
