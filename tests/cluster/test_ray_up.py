"""`ray up cluster.yaml` for real: a computer, a head and two workers, a study, an accident, `ray down`."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.hosts import ROOT, Host, hosts, wait_until, what_is_missing

PORTS = {"laptop": None, "head": 22, "one": 2222, "two": 2222}
STUDY = "study/run_transfer_grid.py --config study/smoke.yaml --set resources.cpus_per_trial=2"
CLUSTER = "~/cluster.yaml"  # on the laptop, with its values filled in
NODES_ALIVE = (
    'python -c \'import ray; ray.init("auto", log_to_driver=False, logging_level=40); '
    'print("alive", sum(n["Alive"] for n in ray.nodes()))\''
)

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Host]]:
    missing = what_is_missing()
    if missing:
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "shared").mkdir()
    with hosts(PORTS, folder, folder / "shared") as made:
        laptop = made["laptop"]
        laptop.run("ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519")
        for host in made.values():
            (host.home / ".ssh/authorized_keys").write_text((laptop.home / ".ssh/id_ed25519.pub").read_text())
            _environment(host)
        ports = "".join(f"Host {made[name].address}\n    Port {PORTS[name]}\n" for name in ("one", "two"))
        (made["head"].home / ".ssh/config").write_text(ports)
        (laptop.home / "cluster.yaml").write_text(_filled_in(made))
        yield made


def _environment(host: Host) -> None:
    """What an earlier `ray up` has installed: an environment that holds this one's packages, but not this project."""
    host.run(f"{sys.executable} -m venv --without-pip ~/lidartune/.venv")
    environment = host.home / "lidartune/.venv"
    packages = environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (packages / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for name, module in (("pip", "pip"), ("ray", "ray.scripts.scripts")):
        program = environment / "bin" / name
        program.write_text(f'#!/bin/sh\nexec /root/lidartune/.venv/bin/python -m {module} "$@"\n')
        program.chmod(0o755)
    (host.home / ".config/pip").mkdir(parents=True)
    (host.home / ".config/pip/pip.conf").write_text("[global]\nno-index = true\nno-build-isolation = false\n")


def _filled_in(made: dict[str, Host]) -> str:
    text = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
    for name, value in (
        ("head_ip", made["head"].address),
        ("worker_ips", f"[{made['one'].address}, {made['two'].address}]"),
        ("ssh_user", "root"),
    ):
        text, changed = re.subn(rf"{name}: {{FILL IN.*}}", f"{name}: {value}", text)
        assert changed == 1, name
    return re.sub(r"PYTHON=\S+", f"PYTHON={platform.python_version()}", text)


def _ray(machines: dict[str, Host], command: str, *, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    return machines["laptop"].run(f"cd {ROOT} && RAY=~/lidartune/.venv/bin/ray && $RAY {command}", timeout_s=timeout_s)


def test_a_study_on_a_cluster_that_loses_a_machine_ends_with_the_table_of_one_machine(
    machines: dict[str, Host], tmp_path: Path
) -> None:
    head, workers = machines["head"], [machines["one"], machines["two"]]
    shared = head.folder.parent / "shared"
    alone = subprocess.run(
        [sys.executable, *STUDY.split(), "--results", str(tmp_path / "alone")], cwd=ROOT, capture_output=True, text=True
    )
    assert alone.returncode == 0, alone.stdout + alone.stderr

    assert _ray(machines, "get-auth-token --generate").returncode == 0
    raised = _ray(machines, f"up -y {CLUSTER}")
    assert raised.returncode == 0, raised.stdout

    def alive(count: int) -> bool:
        return f"alive {count}" in _ray(machines, f"exec {CLUSTER} {_quoted(NODES_ALIVE)}").stdout

    wait_until(lambda: alive(3), 240, "three nodes")
    for host in (head, *workers):
        assert (host.home / ".ray/auth_token").stat().st_mode & 0o777 == 0o600
    listening = [line.split()[3] for line in head.run("ss -ltnH").stdout.splitlines()]
    print("listening on the head:", *sorted(listening))
    dashboard = {address.rpartition(":")[0] for address in listening if address.endswith(":8265")}
    assert dashboard <= {"127.0.0.1", "[::ffff:127.0.0.1]"}, "the dashboard stays on loopback"
    stranger = workers[0].run(
        "export RAY_AUTH_MODE=disabled HOME=/run; "
        f"timeout 60 /root/lidartune/.venv/bin/ray status --address {head.address}:6379"
    )
    assert stranger.returncode != 0, f"without the token:\n{stranger.stdout}"

    def study(results: str) -> str:
        return _quoted(f"cd ~/lidartune && python {STUDY} --address auto --results {results}")

    private = _ray(machines, f"exec {CLUSTER} {study('~/results')}")
    assert "does not see the results folder" in private.stdout and private.returncode != 0, private.stdout
    assert not list((head.home / "results/runs").iterdir())

    running = machines["laptop"].start(f"cd {ROOT} && ~/lidartune/.venv/bin/ray exec {CLUSTER} {study('/mnt/results')}")
    try:
        wait_until(lambda: any(_trials(host) for host in workers), 120, "a trial on a worker")
        print("trials on", [host.name for host in workers if _trials(host)])
        lost = next(host for host in workers if _trials(host))
        assert lost.kill("ray") > 1
        output, _ = running.communicate(timeout=900)
    finally:
        running.kill()
    print(output)
    assert running.returncode == 0, output
    table, expected = (folder / "smoke/report/gap.csv" for folder in (shared / "results", tmp_path / "alone"))
    assert table.read_bytes() == expected.read_bytes()

    down = _ray(machines, f"down -y {CLUSTER}")
    assert down.returncode == 0, down.stdout
    wait_until(lambda: not any(host.processes("raylet") for host in (head, *workers)), 120, "Ray gone after ray down")


def _trials(host: Host) -> list[int]:
    return host.processes("ImplicitFunc")


def _quoted(command: str) -> str:
    return '"' + command.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(pytest.main(["-m", "nightly", "-rs", "-s", __file__]))
