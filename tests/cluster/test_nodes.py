"""Before a study starts on several machines: all of them reach the results, have the same software and settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import lidartune.tuning.nodes as nodes
from lidartune.errors import UserError
from lidartune.runs.store import Store
from lidartune.tuning.cluster import SETTINGS, ray_cluster
from lidartune.tuning.nodes import check_nodes
from tests.bucket import SETTINGS as S3_SETTINGS


@pytest.fixture(scope="module")
def two_nodes(s3_server: str) -> Iterator[None]:
    """A Ray of two nodes on this machine, which have credentials of their own for a server that speaks S3."""
    import ray
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (S3_SETTINGS | {"AWS_ENDPOINT_URL": s3_server}).items():
            patch.setenv(name, value)
        cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
        cluster.add_node(**small)
    ray.init(address=cluster.address, log_to_driver=False)
    yield
    ray.shutdown()
    cluster.shutdown()


def test_machines_that_see_the_folder_and_have_the_same_software_pass(two_nodes: None, tmp_path: Path) -> None:
    check_nodes(Store(tmp_path))
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_machines_that_reach_the_bucket_pass(two_nodes: None, bucket: str) -> None:
    store = Store(bucket)
    check_nodes(store)
    assert store.files.names("") == [], "nothing is left behind"


def _elsewhere(monkeypatch: pytest.MonkeyPatch, results: str) -> None:
    """Machines to which the path of the results means something else."""

    def visit_another_disk(_: str, meeting: str, node: str) -> nodes.NodeFacts:
        return nodes.visit(results, meeting, node)

    monkeypatch.setattr(nodes, "visit", _by_value(visit_another_disk))


def test_a_machine_that_does_not_see_the_results_is_named(
    two_nodes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    _elsewhere(monkeypatch, str(tmp_path / "private"))
    with pytest.raises(UserError, match="does not see the results folder") as refused:
        check_nodes(Store(tmp_path / "here"))
    assert "is not there" in str(refused.value) and f"{tmp_path / 'here'} on " in str(refused.value)
    assert "mount" in str(refused.value)
    assert list((tmp_path / "here").iterdir()) == [] and not (tmp_path / "private").exists()


def test_a_machine_that_does_not_reach_the_bucket_is_named(
    two_nodes: None, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _elsewhere(monkeypatch, "s3://nobody-made-this-one/results")
    with pytest.raises(UserError, match="does not reach the results") as refused:
        check_nodes(Store(f"{bucket}/results"))
    assert "no such bucket" in str(refused.value) and f"{bucket}/results from " in str(refused.value)


def test_workers_of_a_cluster_get_the_settings_but_no_keys(two_nodes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this process: the machines of the cluster were started before it, without them."""
    import ray

    address = ray.get_runtime_context().gcs_address
    ray.shutdown()
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_SESSION_TOKEN": "hunter2"}.items():
        monkeypatch.setenv(name, value)
    with ray_cluster(address):
        found = ray.get(ray.remote(_by_value(_environment)).remote())  # type: ignore[arg-type]
    ray.init(address=address, log_to_driver=False)  # as the fixture had it
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1" and "AWS_SESSION_TOKEN" not in found
    assert {name: found.get(name) for name in SETTINGS} == {name: os.environ[name] for name in SETTINGS}


def _environment() -> dict[str, str]:
    return dict(os.environ)


def test_other_software_is_named(two_nodes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = nodes.software()
    monkeypatch.setattr(nodes, "software", lambda: {**here, "torch": "1.0"})
    with pytest.raises(UserError, match="other software") as refused:
        check_nodes(Store(tmp_path))
    assert "torch 1.0" in str(refused.value) and f"torch {here['torch']}" in str(refused.value)
    assert "numpy" not in str(refused.value)


def _by_value(function: object) -> object:
    """The function as Ray sends it to workers that cannot import this file."""
    import ray.cloudpickle as cloudpickle

    function.__module__ = "__main__"  # type: ignore[attr-defined]
    assert cloudpickle.dumps(function)
    return function
