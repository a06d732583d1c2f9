"""An S3 server on a free port, for tests with object storage."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

KEYS = {"key": "testing", "secret": "testing"}


class Heedless:
    """A server that ignores the condition of a conditional write, as some S3-compatible servers do."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        environ.pop("HTTP_IF_NONE_MATCH", None)
        return self.app(environ, start_response)


class OneAtATime:
    """Carries out one request at a time: moto looks and puts in two steps, which S3 does in one.

    A client that is suspended in the middle of a request does not hold up the others.
    """

    def __init__(self, app):
        self.app, self.lock = app, threading.Lock()

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"]
        is_chunked = environ.get("wsgi.input_terminated")
        environ["wsgi.input"] = io.BytesIO(
            body.read() if is_chunked else body.read(int(environ.get("CONTENT_LENGTH") or 0))
        )
        with self.lock, closing(self.app(environ, start_response)) as response:
            return list(response)


@contextmanager
def s3_server() -> Iterator[BaseWSGIServer]:
    """Moto's S3 server."""
    app = OneAtATime(DomainDispatcherApplication(create_backend_app))
    made = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


@contextmanager
def s3_client(endpoint: str):
    client = boto3.client("s3", "us-east-1", endpoint_url=endpoint, aws_access_key_id="a", aws_secret_access_key="b")
    try:
        yield client
    finally:
        client.close()


def new_bucket(endpoint: str, name: str) -> None:
    with s3_client(endpoint) as client:
        client.create_bucket(Bucket=name)


def objects(endpoint: str, bucket: str) -> dict[str, bytes]:
    """Return all objects of a bucket, by key, read with another client library."""
    contents = {}
    with s3_client(endpoint) as client:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                contents[entry["Key"]] = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
    return contents
