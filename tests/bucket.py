"""A server on loopback that speaks S3 (moto's), with one fresh bucket a test."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lidartune.runs.s3 import S3Files

SETTINGS = {
    "AWS_ACCESS_KEY_ID": "tester",
    "AWS_SECRET_ACCESS_KEY": "only-for-loopback",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_MAX_ATTEMPTS": "3",
}


@contextmanager
def server(port: int = 0) -> Iterator[str]:
    """Its address, `http://127.0.0.1:PORT`; what was stored goes with it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    running.start()
    host, found = running.get_host_and_port()
    yield f"http://{host}:{found}"
    running.stop()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    with server() as address:
        yield address


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """`s3://...` of an empty bucket, with the environment in which it is reached, also by processes started here."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in (SETTINGS | {"AWS_ENDPOINT_URL": s3_server}).items():
        monkeypatch.setenv(name, value)
    uri = f"s3://study-{uuid.uuid4().hex[:12]}"
    make_bucket(uri)
    return uri


def make_bucket(uri: str) -> None:
    files = S3Files(uri)
    files._client.create_bucket(Bucket=files.bucket)
