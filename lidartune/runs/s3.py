"""A results folder in an S3 bucket: Amazon's, or one of another server, which AWS_ENDPOINT_URL names.

Credentials, region and endpoint are found as the AWS command line finds them: environment, ~/.aws, the machine's role.
"""

from __future__ import annotations

import os
import re
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lidartune.errors import UserError
from lidartune.runs.files import CannotWrite, no_secrets

CONNECTIONS = 32
ATTEMPTS = 8  # about half a minute of waiting in all: longer than a server's restart or a throttled minute
ATTEMPTS_AT_START = 2
GONE = ("NoSuchKey", "404", "NotFound")
TAKEN = ("PreconditionFailed", "412")
AT_ONCE = "ConditionalRequestConflict"  # another write of the same object was under way: to be tried again
RIGHTS = "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject"
REMOVED_IN = 3  # times that keys are asked to go; what then stays is no commit any more
LOST_HALFWAY = 3  # times that a download is begun again which was cut off; the client itself only repeats requests


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An object below a folder, as a listing shows it: `path` from the results folder on, a tag of its content.

    `stamp_ns` is when it was written, which a listing knows by the second at worst, with a digest of the tag in the
    digits below a millisecond: a file of this size that bears it is this one.
    """

    path: str
    bytes: int
    stamp_ns: int
    tag: str


class S3Files:
    """Files below `s3://bucket/folder`, as `lidartune.runs.files.Files` says. A write is there whole or not at all.

    Args:
        uri: without credentials, which are refused.
        patient: whether a server that does not answer is asked again for a while.

    Raises:
        UserError: here, for a URI that cannot be used.
        CannotWrite: everywhere else, also while reading: no such bucket, credentials that are missing or refused, a
            server that does not answer.
    """

    def __init__(self, uri: str, *, patient: bool = True):
        self.bucket, self._folder = split_uri(uri)
        self.uri = "/".join(part for part in (f"s3://{self.bucket}", self._folder) if part)
        for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):  # not every host gets as far as to a client
            _refuse_credentials(os.environ.get(name, ""))
        with self._explained():
            self._client = _client(patient, _settings())
        _refuse_credentials(self._client.meta.endpoint_url)

    def read(self, path: str) -> bytes | None:
        found = self.read_tagged(path)
        return found[0] if found else None

    def read_tagged(self, path: str) -> tuple[bytes, str] | None:
        """The content, and the tag by which `replace` knows it again."""
        from botocore import exceptions

        with self._explained():
            for attempt in range(1, LOST_HALFWAY + 1):
                try:
                    answer = self._client.get_object(Bucket=self.bucket, Key=self.key(path))
                    return answer["Body"].read(), answer["ETag"]
                except exceptions.ClientError as error:
                    if _code(error) in GONE:
                        return None
                    raise
                except (
                    exceptions.ReadTimeoutError,
                    exceptions.ResponseStreamingError,
                    exceptions.IncompleteReadError,
                ):
                    if attempt == LOST_HALFWAY:
                        raise
        return None

    def write(self, path: str, content: bytes) -> None:
        self.put(path, content)

    def put(self, path: str, content: bytes) -> str:
        """As `write`; returns the tag of what is there now."""
        with self._explained():
            return self._client.put_object(Bucket=self.bucket, Key=self.key(path), Body=content)["ETag"]

    def write_new(self, path: str, content: bytes) -> bool:
        return self._put_if(path, content, IfNoneMatch="*")

    def replace(self, path: str, content: bytes, tag: str) -> bool:
        """Writes in the place of what `read_tagged` found; False where something else is there by now."""
        return self._put_if(path, content, IfMatch=tag)

    def names(self, folder: str) -> list[str]:
        prefix = self._prefix(folder)
        found = []
        for page in self._pages(prefix, Delimiter="/"):
            found += [entry["Prefix"][len(prefix) : -1] for entry in page.get("CommonPrefixes", ())]
            found += [entry["Key"][len(prefix) :] for entry in page.get("Contents", ())]
        return [name for name in found if name]

    def entries(self, folder: str) -> Iterator[Entry]:
        """All that is below a folder and could be a file of this machine."""
        cut = len(self._folder) + 1 if self._folder else 0
        for page in self._pages(self._prefix(folder)):
            for entry in page.get("Contents", ()):
                path, tag = entry["Key"][cut:], entry["ETag"]
                if not {"", ".", ".."} & set(path.split("/")):  # nobody's key leads out of a mirror
                    written_ms = round(entry["LastModified"].timestamp() * 1000)
                    stamp_ns = written_ms * 10**6 + zlib.crc32(tag.encode()) % 10**6
                    yield Entry(path=path, bytes=entry["Size"], stamp_ns=stamp_ns, tag=tag)

    def remove(self, path: str) -> None:
        with self._explained():
            self._client.delete_object(Bucket=self.bucket, Key=self.key(path))

    def remove_folder(self, folder: str) -> None:
        for page in self._pages(self._prefix(folder)):
            keys = [{"Key": entry["Key"]} for entry in page.get("Contents", ())]
            if keys:
                self._remove_keys(keys)

    def _remove_keys(self, keys: list[dict[str, str]]) -> None:
        """Single keys may be refused in an answer that says "200 OK", or have bad luck: these are tried again."""
        for _ in range(REMOVED_IN):
            with self._explained():
                answer = self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": keys, "Quiet": True})
                errors = answer.get("Errors", ())
                for error in errors:
                    if error.get("Code") == "AccessDenied":
                        raise _as_error(error)
            keys = [{"Key": error["Key"]} for error in errors]
            if not keys:
                return

    def key(self, path: str) -> str:
        """The object's key in the bucket."""
        return "/".join(part for part in (self._folder, path) if part)

    def _prefix(self, folder: str) -> str:
        key = self.key(folder)
        return f"{key}/" if key else ""

    def _pages(self, prefix: str, **options: str) -> Iterator[dict[str, Any]]:
        with self._explained():
            pages = self._client.get_paginator("list_objects_v2")
            yield from pages.paginate(Bucket=self.bucket, Prefix=prefix, **options)

    def _put_if(self, path: str, content: bytes, **condition: str) -> bool:
        from botocore.exceptions import ClientError

        with self._explained():
            for wait_s in (0.1, 0.2, 0.5, 1.0, 0.0):
                try:
                    self._client.put_object(Bucket=self.bucket, Key=self.key(path), Body=content, **condition)
                    return True
                except ClientError as error:
                    if _code(error) in TAKEN + GONE:
                        return self.read(path) == content  # its answer was lost, and the client asked once more
                    if _code(error) != AT_ONCE or not wait_s:
                        raise
                    time.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """The client's errors as one message each."""
        try:
            from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
        except ImportError:
            raise UserError(
                "results on S3 need boto3, which is not installed",
                where=self.uri,
                do="pip install -c constraints.txt -e '.[s3]' in the folder of lidartune",
            ) from None
        try:
            yield
        except ClientError as error:
            raise _refused(self, error) from None
        except (ConnectionError, HTTPClientError) as error:  # no answer, or one that is cut off
            raise CannotWrite(
                "S3 does not answer",
                where=f"{self.uri}, asked at {self._client.meta.endpoint_url}",
                found=_one_line(error),
                do="look at the network and at AWS_ENDPOINT_URL; what is committed stays, and the same command goes on",
            ) from None
        except (BotoCoreError, ValueError) as error:  # no credentials, no such profile, an endpoint that is no URL
            raise CannotWrite(
                "S3 cannot be asked",
                where=self.uri,
                found=_one_line(error),
                wanted="credentials and settings as the AWS command line takes them",
                do="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role",
            ) from None


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and folder of `s3://bucket/folder`. Raises UserError where it holds credentials or no bucket."""
    rest = uri.partition("://")[2]
    bucket, _, folder = rest.partition("/")
    if "@" in bucket or ":" in bucket or "?" in rest:
        raise UserError(
            "a URI of results holds no credentials and no options: it is written into records and reports",
            where="--results",
            found="s3://...@..." if "@" in bucket else "s3://... with options",
            wanted="s3://bucket/folder",
            do="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; AWS_ENDPOINT_URL for another server",
        )
    parts = [part for part in folder.split("/") if part]
    if not bucket or any(part in (".", "..") for part in parts):
        raise UserError("this is no folder of a bucket", where="--results", found=no_secrets(uri), wanted="s3://bucket/folder")
    return bucket, "/".join(parts)


def _refuse_credentials(endpoint: str) -> None:
    if "@" in re.split("[/?#]", re.sub("^[^/]*//", "", endpoint))[0]:
        raise UserError(
            "an endpoint holds no credentials: messages name it",
            where="AWS_ENDPOINT_URL, or endpoint_url in ~/.aws/config",
            found="a name or a password before an @",
            do="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, instead",
        )


def _as_error(error: dict[str, str]) -> Exception:
    from botocore.exceptions import ClientError

    return ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": 403}}, "DeleteObjects")


def _refused(files: S3Files, error: Any) -> CannotWrite:
    code = _code(error)
    if code == "NoSuchBucket":
        return CannotWrite(
            "there is no such bucket",
            where=files.uri,
            found=f"no {files.bucket} at {files._client.meta.endpoint_url}",
            do="make it, or give --results another; AWS_ENDPOINT_URL names a server other than Amazon's",
        )
    found = f"{code}: {error.response.get('Error', {}).get('Message', '')}".rstrip(": ")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status in (401, 403):
        do = f"give these credentials {RIGHTS} on the bucket, or use others"
        return CannotWrite("S3 refuses access", where=files.uri, found=found, do=do)
    return CannotWrite(
        "S3 cannot do what is asked", where=files.uri, found=found, do="when it works again, the same command goes on"
    )


def _settings() -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


@lru_cache(maxsize=8)
def _client(patient: bool, settings: tuple[tuple[str, str], ...]) -> Any:
    """A client, which threads may share; `settings` are those that it finds in the environment."""
    import boto3
    from botocore.config import Config

    attempts = int(dict(settings).get("AWS_MAX_ATTEMPTS") or ATTEMPTS)
    config = Config(
        connect_timeout=10 if patient else 5,
        read_timeout=60 if patient else 15,
        retries={"mode": "standard", "total_max_attempts": attempts if patient else min(attempts, ATTEMPTS_AT_START)},
        max_pool_connections=CONNECTIONS,
        request_checksum_calculation="when_required",  # the store's own hashes do it, and not every server knows these
        response_checksum_validation="when_required",
    )
    session = boto3.session.Session()
    region = session.region_name or "us-east-1"  # where a bucket lies elsewhere, Amazon says so and is asked again
    return session.client("s3", config=config, region_name=region)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _one_line(error: Exception) -> str:
    return no_secrets(" ".join(str(error).split()))
