"""Explains the error codes of runs: `code -> meaning, what to do`. docs/troubleshooting.md has the same texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorHelp:
    """The meaning of an error code, and the advice to a person."""

    meaning: str
    advice: str


ERROR_HELP: Mapping[str, ErrorHelp] = {
    "authentication-failed": ErrorHelp(
        "The vendor does not accept the credentials of the connection.",
        "Enter valid credentials in the connection's form and press Test. For Constant Contact, run `airflow segexport "
        "login`. Then clear the failed task.",
    ),
    "permission-denied": ErrorHelp(
        "The credentials are valid, but lack a permission that the export needs.",
        "Give the API key or the application the permission that the message names. Then clear the failed task.",
    ),
    "connection-not-allowed": ErrorHelp(
        "The connection has no consent to the data privacy terms, or it does not allow this DAG.",
        "An administrator completes *Consent and access* in the connection's form, or adds the DAG to *Allowed DAGs*.",
    ),
    "exports-disabled": ErrorHelp(
        "An administrator disabled exports through this connection. The task is skipped.",
        "Enable *Exports enabled* in the connection's form. The next run sends what was missed.",
    ),
    "invalid-connection": ErrorHelp(
        "The connection does not exist, is of another type, or contains a value that cannot be used.",
        "Correct the field that the message names in the connection's form, and press Test.",
    ),
    "audience-not-found": ErrorHelp(
        "The account has no such audience.",
        "Correct the argument `audience`, or the default audience of the connection. `create_audience=True` creates a "
        "missing list or address book.",
    ),
    "audience-owned-by-other": ErrorHelp(
        "Another export fills this audience. Nothing was sent.",
        "Choose another audience, or set `allow_shared_audience=True` on both exports. If the other export is "
        "retired, run `airflow segexport release`.",
    ),
    "audience-locked": ErrorHelp(
        "Another run is writing this audience. A task waits and resumes by itself.",
        "If the other run, which the message names, makes progress, there is nothing to do. If a command was refused, "
        "run it again when the other run has ended.",
    ),
    "guard-tripped": ErrorHelp(
        "A figure of the run is beyond a guard's limit. Nothing was sent, unless the guard is `max_rejected_share`, "
        "which stops a run that has begun to send.",
        "Compare the figures in the message with your expectation. If the segment is wrong, correct it and clear the "
        "task. If it is right, change the limit in `guards`, or approve the plan.",
    ),
    "stale-snapshot": ErrorHelp(
        "The audience already has a newer state than this snapshot, so the run sends nothing more.",
        "If a newer run has exported the segment, there is nothing to do. To compare an old snapshot, set "
        '`on_stale="verify"`.',
    ),
    "invalid-segment": ErrorHelp(
        "The segment's files cannot be read, are empty, or hold more profiles than allowed.",
        "Check the task that writes the segment. The message names the file, the column or the limit.",
    ),
    "invalid-field-mapping": ErrorHelp(
        "The field mapping or the custom fields name a column or a field that does not exist.",
        "Correct `field_mapping` or `custom_fields`. The message names the column or field.",
    ),
    "invalid-argument": ErrorHelp(
        "An argument of the operator, hook or command cannot be used.",
        "Correct the argument that the message names. A template that renders to nothing counts as an error, too.",
    ),
    "rate-limited": ErrorHelp(
        "The account's rate limit is used up. The task waits for the vendor's next window.",
        "There is nothing to do. If it happens in each run, start the exports of this account at different times.",
    ),
    "job-slots-full": ErrorHelp(
        "The vendor accepts no further import job until a running one ends. A retry resumes.",
        "If `retries` is set, there is nothing to do. Otherwise set it, or run fewer exports of this account at once.",
    ),
    "superseded": ErrorHelp(
        "Another run took the audience over, so this run stopped. It sent nothing after that.",
        "Look at the run that took over. A worker that is paused for minutes loses its audience.",
    ),
    "needs-memory": ErrorHelp(
        "The worker's memory or disk was too small to de-duplicate the segment.",
        "Write the segment with smaller row groups (100,000 rows), or give the worker more memory and disk space.",
    ),
    "vendor-unavailable": ErrorHelp(
        "The vendor did not respond, reported a fault, or a proxy responded in its place. A retry resumes.",
        "Look at the vendor's status page. If the proxy responded, check its rules.",
    ),
    "outcome-unknown": ErrorHelp(
        "A call that must not be repeated got no clear response. The next try finds out what arrived.",
        "If `retries` is set, there is nothing to do. Otherwise clear the failed task.",
    ),
    "unexpected-response": ErrorHelp(
        "The vendor's response does not match its documentation.",
        "Install the newest release of this provider. If the error remains, report it with the message.",
    ),
    "wait-too-long": ErrorHelp(
        "The vendor asks for a longer wait than any run makes.",
        "Clear the task after the time that the message names, or ask the vendor for a higher quota.",
    ),
    "jobs-too-long": ErrorHelp(
        "An import job at the vendor did not end within `job_timeout`.",
        "Look at the job in the vendor's pages. Clear the task when the job has ended, or raise `job_timeout`.",
    ),
    "damaged-state": ErrorHelp(
        "A file of the state path was changed, or another version of the provider wrote it. Nothing more was sent.",
        "Restore the file from a backup, or run `airflow segexport repair`.",
    ),
    "run-folder-missing": ErrorHelp(
        "A task resumed after a deferral, and this worker has no run folder of it.",
        "Set `[segexport] state_path` to the same path on all workers, on a shared disk or in object storage.",
    ),
    "batch-rejected": ErrorHelp(
        "The vendor rejected a batch as a whole, also after the run had divided it.",
        "Download the rejects of the run: they contain the vendor's reason.",
    ),
    "fatal-error": ErrorHelp(
        "The export cannot go on before a person acts.",
        "Follow the message.",
    ),
    "retryable-error": ErrorHelp(
        "The export could not go on now. A retry resumes where it stopped.",
        "If `retries` is set, there is nothing to do. Otherwise clear the failed task.",
    ),
    "segexport-error": ErrorHelp(
        "The run was asked to stop, for example because the task was cleared or its worker shut down.",
        "If `retries` is set, there is nothing to do. Otherwise clear the failed task.",
    ),
    "execution-timeout": ErrorHelp(
        "The task ran for longer than its `execution_timeout`. A retry resumes where it stopped.",
        "Raise `execution_timeout`, or set `retries`.",
    ),
    "worker-lost": ErrorHelp(
        "The task was killed, or its worker died. A retry checks what was in flight, and resumes.",
        "Clear the failed task. If it happens again, look for a memory limit on the worker.",
    ),
    "unexpected": ErrorHelp(
        "A library raised an error that the provider does not know, or a disk or store cannot be reached.",
        "Look at the log, which has the lines of code. Set `retries`, so that a short fault is over by itself.",
    ),
}
"""Help by error code. The codes of exceptions are derived from their classes."""
