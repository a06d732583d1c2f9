"""Task decorators: `@task.segment_export`."""
