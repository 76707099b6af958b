"""What every machine of a cluster must have before a study starts: the results folder, and the same code."""

from __future__ import annotations

import hashlib
import platform
import uuid
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import lidartune
from lidartune.errors import UserError
from lidartune.runs.files import is_uri, open_files
from lidartune.runs.store import Store

PACKAGES = ("torch", "numpy", "ray", "numba", "safetensors")
"""Packages that change results or records: every machine needs the same releases (their builds may differ)."""
ANSWER_WITHIN_S = 120


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """What one machine of the cluster says of itself; `trouble` where it cannot read or write the results."""

    trouble: str | None
    software: dict[str, str]


def check_nodes(store: Store) -> None:
    """Lets every machine of the Ray that is up read and write the results, and compares their software.

    Raises:
        UserError: naming the first machine that does not reach the results, or has other code or packages.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    if len(nodes) < 2:
        return
    meeting = f".meeting-{uuid.uuid4().hex}"
    store.files.write(f"{meeting}/driver", meeting.encode())
    try:
        ask = ray.remote(num_cpus=0, max_retries=0)(visit)
        asked = {
            node: ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
                store.results, meeting, node
            )
            for node in nodes
        }
        here = software()
        for node, answer in asked.items():
            try:
                facts = ray.get(answer, timeout=ANSWER_WITHIN_S)
            except (ray.exceptions.RayError, ImportError) as error:
                raise _not_ready(nodes[node], error) from None
            trouble = facts.trouble
            if trouble is None and store.files.read(f"{meeting}/{node}") is None:
                trouble = "what that machine wrote there does not appear here"
            _check_node(nodes[node], facts, trouble, store, here)
    finally:
        with suppress(OSError, UserError):
            store.files.remove_folder(meeting)


def visit(results: str, meeting: str, node: str) -> NodeFacts:
    """On a machine of the cluster: reads what the driver left among the results, and leaves a file beside it."""
    trouble = None
    try:
        files = open_files(results)
        if files.read(f"{meeting}/driver") != meeting.encode():
            trouble = "what the driver wrote there is not there"
        else:
            files.write(f"{meeting}/{node}", node.encode())
    except UserError as error:
        trouble = " ".join(str(error).split())
    except OSError as error:
        trouble = error.strerror or str(error)
    return NodeFacts(trouble=trouble, software=software())


def software() -> dict[str, str]:
    """Python, packages and this package's own files here; builds of a release (`2.13.0+cpu`) count as the same."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            found[name] = "not installed"
    folder, digest = Path(lidartune.__file__).parent, hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".py", ".yaml"):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return {**found, "lidartune": f"{lidartune.__version__}, files {digest.hexdigest()[:12]}"}


def _check_node(address: str, facts: NodeFacts, trouble: str | None, store: Store, here: dict[str, str]) -> None:
    if trouble and is_uri(store.results):
        raise UserError(
            "a machine of the cluster does not reach the results",
            where=f"{store.results} from {address}",
            found=trouble,
            wanted="a bucket that every machine can read and write",
            do="give that machine credentials of its own (a role, or ~/.aws), boto3, and a way to the server",
        )
    if trouble:
        raise UserError(
            "a machine of the cluster does not see the results folder",
            where=f"{store.results} on {address}",
            found=trouble,
            wanted="the same folder, writable, at the same path on every machine",
            do="give --results a folder on a file system that all machines mount, or s3://bucket/folder",
        )
    other = {name: (value, facts.software.get(name)) for name, value in here.items()}
    unlike = {name: both for name, both in other.items() if both[0] != both[1]}
    if unlike:
        raise UserError(
            "a machine of the cluster has other software than this one",
            where=address,
            found=", ".join(f"{name} {there}" for name, (_, there) in unlike.items()),
            wanted=", ".join(f"{name} {value}" for name, (value, _) in unlike.items()),
            do="run `ray up cluster.yaml` again, which brings this project and its versions to every machine",
        )


def _not_ready(address: str, error: Exception) -> UserError:
    return UserError(
        "a machine of the cluster cannot run lidartune",
        where=address,
        found=(str(error).strip() or type(error).__name__).splitlines()[-1],
        do="run `ray up cluster.yaml` again and look at what its setup says of that machine",
    )
