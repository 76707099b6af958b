"""Before a study starts on several machines: all of them see the results folder, and have the same software."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import lidartune.tuning.nodes as nodes
from lidartune.errors import UserError
from lidartune.tuning.nodes import check_nodes


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[None]:
    """A Ray of two nodes on this machine."""
    import ray
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    cluster.add_node(**small)
    ray.init(address=cluster.address, log_to_driver=False)
    yield
    ray.shutdown()
    cluster.shutdown()


def test_machines_that_see_the_folder_and_have_the_same_software_pass(two_nodes: None, tmp_path: Path) -> None:
    check_nodes(tmp_path)
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_a_machine_that_does_not_see_the_results_is_named(
    two_nodes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "private"

    def visit_another_disk(meeting: str, node: str) -> nodes.NodeFacts:
        return nodes.visit(str(elsewhere / Path(meeting).name), node)

    monkeypatch.setattr(nodes, "visit", _by_value(visit_another_disk))
    with pytest.raises(UserError, match="does not see the results folder") as refused:
        check_nodes(tmp_path)
    assert "No such file or directory" in str(refused.value) and str(tmp_path) in str(refused.value)
    assert "mount" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_other_software_is_named(two_nodes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = nodes.software()
    monkeypatch.setattr(nodes, "software", lambda: {**here, "torch": "1.0"})
    with pytest.raises(UserError, match="other software") as refused:
        check_nodes(tmp_path)
    assert "torch 1.0" in str(refused.value) and f"torch {here['torch']}" in str(refused.value)
    assert "numpy" not in str(refused.value)


def _by_value(function: object) -> object:
    """The function as Ray sends it to workers that cannot import this file."""
    import ray.cloudpickle as cloudpickle

    function.__module__ = "__main__"  # type: ignore[attr-defined]
    assert cloudpickle.dumps(function)
    return function
