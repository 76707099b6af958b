"""Hosts on one machine: each has its own network, processes, name, home, /tmp and sshd, all in Linux namespaces.

They sit on a bridge that lies in a namespace too, so that the network of the machine itself is not touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = {  # program -> Debian package
    "ip": "iproute2",
    "ss": "iproute2",
    "unshare": "util-linux",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "rsync": "rsync",
}
NETWORK = "10.231.7"
ROOT = Path(__file__).parents[2]
SSHD = """
ListenAddress 0.0.0.0
HostKey /root/.sshd/key
AuthorizedKeysFile /root/.ssh/authorized_keys
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
"""


@dataclass(frozen=True, kw_only=True)
class Host:
    """A host: `folder` holds its home and /tmp as this machine sees them, `first` is its process 1."""

    name: str
    address: str
    folder: Path
    first: int

    @property
    def home(self) -> Path:
        return self.folder / "root"

    def run(self, command: str, *, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """What a person would see who types `command` on the host."""
        started = self.start(command)
        try:
            output, _ = started.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            started.kill()
            output, _ = started.communicate()
            raise AssertionError(f"{command} on {self.name} did not end in {timeout_s} s:\n{output}") from None
        return subprocess.CompletedProcess(command, started.returncode, output)

    def start(self, command: str) -> subprocess.Popen[str]:
        """The same, not waited for."""
        return subprocess.Popen(
            ["nsenter", "-t", str(self.first), "-m", "-n", "-p", "-u", "-i", "--", "bash", "--login", "-c", command],
            env={"HOME": "/root", "USER": "root", "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
        )

    def processes(self, part: str) -> list[int]:
        """Processes of this host, by this machine's numbers, whose command line holds `part`."""
        own, found = os.readlink(f"/proc/{self.first}/ns/pid"), []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(folder / "ns/pid") == own and part in (folder / "cmdline").read_text():
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def kill(self, part: str) -> int:
        """Kills those processes, and says how many they were."""
        found = self.processes(part)
        for process in found:
            os.kill(process, signal.SIGKILL)
        return len(found)


def what_is_missing() -> str | None:
    """Why hosts cannot be made here, or None."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    packages = sorted({package for program, package in PROGRAMS.items() if _find(program) is None})
    if packages:
        return f"needs {', '.join(packages)}, which are not installed"
    tried = subprocess.run(["unshare", "-m", "-n", "-p", "-u", "-i", "--fork", "true"], capture_output=True, text=True)
    return f"namespaces are not allowed here: {tried.stderr.strip()}" if tried.returncode else None


@contextmanager
def hosts(names: dict[str, int | None], folder: Path, shared: Path) -> Iterator[dict[str, Host]]:
    """Hosts that reach each other, and nothing else; all end, with every process on them, when the block does.

    Args:
        names: host -> the port of its sshd, None for a host without one.
        folder: an empty folder, for their homes.
        shared: a folder that all of them see as /mnt.
    """
    lan = f"lidartune-{os.getpid()}"
    with ExitStack() as stack:
        _namespace(stack, lan)
        _do(f"ip -n {lan} link add lan type bridge")
        _do(f"ip -n {lan} addr add {NETWORK}.254/24 dev lan")
        _do(f"ip -n {lan} link set lan up")
        made = {}
        for number, (name, port) in enumerate(names.items(), start=10):
            space, address = f"{lan}-{name}", f"{NETWORK}.{number}"
            _namespace(stack, space)
            _do(f"ip -n {lan} link add port{number} type veth peer name eth0 netns {space}")
            _do(f"ip -n {lan} link set port{number} master lan up")
            _do(f"ip -n {space} addr add {address}/24 dev eth0")
            _do(f"ip -n {space} link set lo up")
            _do(f"ip -n {space} link set eth0 up")
            _do(f"ip -n {space} route add default via {NETWORK}.254")
            first = _boot(stack, name, space, folder / name, shared, port)
            made[name] = Host(name=name, address=address, folder=folder / name, first=first)
        yield made


def _boot(stack: ExitStack, name: str, space: str, folder: Path, shared: Path, port: int | None) -> int:
    for part in ("root/.ssh", "root/.sshd", "tmp"):
        (folder / part).mkdir(parents=True)
    (folder / "root/.ssh").chmod(0o700)
    server = "sleep infinity"
    if port is not None:
        _do(f"ssh-keygen -q -t ed25519 -N '' -f {folder}/root/.sshd/key")
        (folder / "root/.sshd/config").write_text(f"Port {port}{SSHD}", encoding="utf-8")
        server = f"{_find('sshd')} -D -e -f /root/.sshd/config"
    lines = [f"hostname {name}", f"mount --bind {shared} /mnt"]
    for needed in {ROOT, Path(sys.prefix), Path(sys.base_prefix)}:  # what the host's own /root and /tmp would hide
        if needed.parts[1] in ("root", "tmp"):
            place = folder / needed.relative_to("/")
            lines += [f"mkdir -p {place}", f"mount --bind {needed} {place}"]
    lines += [f"mount --rbind {folder}/root /root", "mount -t tmpfs none /run", "mkdir /run/sshd"]
    lines += ["mount -t tmpfs none /dev/shm", f"mount --rbind {folder}/tmp /tmp", f"exec {server}"]
    apart = ["unshare", "-m", "-p", "-u", "-i", "--fork", "--kill-child", "--mount-proc"]
    with (folder / "sshd.log").open("w") as log:
        process = subprocess.Popen(
            ["ip", "netns", "exec", space, *apart, "bash", "-ec", "\n".join(lines)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    stack.callback(_end, process)
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if children and b"bash" not in Path(f"/proc/{children[0]}/cmdline").read_bytes():
            return int(children[0])
        time.sleep(0.05)
    raise AssertionError(f"host {name} did not start: {(folder / 'sshd.log').read_text()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a host: its process 1 dies with the process that made it, and the kernel ends all others in it."""
    process.kill()
    process.wait()
    time.sleep(0.2)


def _namespace(stack: ExitStack, name: str) -> None:
    _do(f"ip netns add {name}")
    stack.callback(_do, f"ip netns del {name}")


def _find(program: str) -> str | None:
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def _do(command: str) -> None:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Waits until `condition()` holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s} s"
        time.sleep(0.3)
