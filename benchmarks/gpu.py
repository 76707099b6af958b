"""Speed, memory, precision and determinism of every backbone on a GPU, as one Markdown page.

    python benchmarks/gpu.py -o gpu.md [--names cenet ...] [--widths 512 1024 2048] [--batches 8] [--modes fp32 bf16]
    python benchmarks/gpu.py --device cpu --rounds 1          a rehearsal: small networks, figures that mean nothing

A training step is forward, loss, backward and SGD, as lidartune trains; inference is the forward pass in evaluation
mode. Batches lie on the device already. Scans per second are the median of the rounds, each of several steps; memory is
the most that torch had allocated at once, weights and batch included. Without --batches each backbone has the batch
size that it was published with. The page is written after every row: what is there when the time is up counts. Where
time is short, leave out the compiled modes (--modes), which compile twice for each row, or take them one by one.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import torch
from gpu_checks import DETERMINISM_HEAD, DETERMINISM_SAID, NUMERICS_HEAD, NUMERICS_SAID, determinism, numerics
from gpu_modes import MODES, Mode, Setting, logits_by, running, tried, updates

from lidartune.backbones import NAMES

# Training batches of the published configurations: of lidar-bonnetal (squeezeseg.yaml, squeezesegV2.yaml,
# darknet21.yaml, darknet53.yaml, darknet53-1024px.yaml and -512px.yaml; the others know 2048 only) and of CENet
# (senet-512.yml, senet-1024p.yml, senet-2048p.yml). SqueezeSeg V1, V2 and DarkNet21 keep theirs at all widths here.
PUBLISHED_BATCH = {"squeezeseg": 36, "squeezesegv2": 8, "darknet21": 2, "darknet53": 8, "cenet": 6}
PUBLISHED_BATCH_AT = {("darknet53", 512): 32, ("darknet53", 1024): 16}
STEPS = 5  # of a round
SPEED_HEAD = ["backbone", "canvas", "batch", "mode", "training scans/s", "GiB", "inference scans/s", "GiB"]
SPEED_SAID = (
    "fp32: float32 throughout. tf32: convolutions may round their inputs to 10 bits, torch's default and lidartune's; "
    "the modes below it are this and what they name. bf16: torch's autocast; weights and loss stay float32. compiled: "
    "torch.compile with its defaults. channels_last: activations and weights, elsewhere NCHW. GiB: most memory at once."
)


def speed(settings: Iterable[Setting], modes: Iterable[str], rounds: int) -> Iterable[list[str]]:
    """A row for each setting and mode."""
    for setting in settings:
        for name in modes:
            cells = []
            for step_of in (training_step, forward_pass):
                cells += tried(2, setting.device, partial(timed, setting, MODES[name], step_of, rounds))
            yield [*setting.cells, name, *cells]


def training_step(setting: Setting, mode: Mode) -> Callable[[], None]:
    return updates(setting.network(), setting, mode)


def forward_pass(setting: Setting, mode: Mode) -> Callable[[], None]:
    logits = logits_by(setting.network().eval(), mode)
    images, _ = setting.images_and_truth()

    def step() -> None:
        with torch.inference_mode():
            logits(images)

    return step


def timed(
    setting: Setting, mode: Mode, step_of: Callable[[Setting, Mode], Callable[[], None]], rounds: int
) -> list[str]:
    """Scans per second, and the memory's peak in GiB."""
    device = setting.device
    with running(mode):
        step = step_of(setting, mode)
        for _ in range(3):
            step()
        wait_for(device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        seconds = []
        for _ in range(rounds):
            begin = time.perf_counter()
            for _ in range(STEPS):
                step()
            wait_for(device)
            seconds.append(time.perf_counter() - begin)
    peak = f"{torch.cuda.max_memory_allocated(device) / 2**30:.2f}" if device.type == "cuda" else "n/a"
    return [f"{setting.batch * STEPS / statistics.median(seconds):,.1f}", peak]


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def environment(device: torch.device) -> str:
    """Date, device and versions, as a sentence or two."""
    when = datetime.datetime.now(datetime.UTC).date().isoformat()
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    if device.type != "cuda":
        return f"{when}, a rehearsal on a CPU with small networks: these figures mean nothing. {versions}."
    found = torch.cuda.get_device_properties(device)
    size = f"{found.total_memory / 2**30:.0f} GiB, compute capability {found.major}.{found.minor}"
    libraries = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return f"{when}, {found.name} ({size}), driver {driver_version()}, {versions}, {libraries}."


def driver_version() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=20).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        lines = []
    return lines[0].strip() if lines else "unknown"


class Page:
    """Markdown that is printed line by line, and written whole after every line."""

    def __init__(self, path: Path | None):
        self.path = path
        self.lines: list[str] = []

    def add(self, *lines: str) -> None:
        self.lines += lines
        print(*lines, sep="\n", flush=True)
        if self.path:
            unfinished = self.path.with_name(self.path.name + ".part")
            unfinished.write_text("\n".join(self.lines) + "\n", "utf-8")
            os.replace(unfinished, self.path)

    def table(self, title: str, said: str, head: list[str], rows: Iterable[list[str]]) -> None:
        self.add("", f"## {title}", "", said, "", _row(head), "|" + "---|" * len(head))
        for row in rows:
            self.add(_row(row))


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ..., or cpu for a rehearsal")
    parser.add_argument("--names", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--height", type=int, help="64; in a rehearsal 16")
    parser.add_argument("--widths", nargs="+", type=int, help="512 1024 2048; in a rehearsal 64")
    parser.add_argument("--channels", type=float, help="1.0; in a rehearsal 0.25")
    parser.add_argument("--batches", nargs="+", type=int, help="the published ones; in a rehearsal 2")
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--rounds", type=int, default=7, help=f"of {STEPS} steps each, after 3 steps to warm up")
    parser.add_argument("--skip", nargs="+", default=[], choices=("speed", "numerics", "determinism"))
    parser.add_argument("-o", "--output", type=Path, help="where the page is written, beside the terminal")
    options = parser.parse_args(arguments)
    if min([options.rounds, *(options.batches or []), *(options.widths or [])]) < 1:
        parser.error("rounds, widths and batches are 1 or more")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", options.device):
        parser.error(f"no device {options.device!r}: cuda, cuda:1, ... or cpu")
    if options.output and not options.output.absolute().parent.is_dir():
        parser.error(f"there is no folder {options.output.absolute().parent} to write into")
    small = options.device == "cpu"
    options.height = options.height or (16 if small else 64)
    options.widths = options.widths or ([64] if small else [512, 1024, 2048])
    options.channels = options.channels or (0.25 if small else 1.0)
    options.batches = options.batches or ([2] if small else None)
    return options


def device_named(name: str) -> torch.device:
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        sys.exit(
            f"There is no device {name!r} that torch {torch.__version__} can use. Run this where there is one, with a "
            "torch that is built for it; rehearse it here with --device cpu --rounds 1."
        )
    return device


def settings(options: argparse.Namespace, device: torch.device, batches: list[int] | None) -> list[Setting]:
    """Every backbone on every canvas, with these batches or the published ones."""
    found = []
    for name in options.names:
        for width in options.widths:
            for batch in batches or [PUBLISHED_BATCH_AT.get((name, width), PUBLISHED_BATCH[name])]:
                size = {"height": options.height, "width": width, "batch": batch}
                found.append(Setting(name=name, channels=options.channels, device=device, **size))
    return found


def main(arguments: list[str] | None = None) -> None:
    options = read_options(arguments)
    device = device_named(options.device)
    page = Page(options.output)
    page.add("# The networks on a GPU", "", environment(device))
    if "speed" not in options.skip:
        rows = speed(settings(options, device, options.batches), options.modes, options.rounds)
        page.table("Speed and memory", SPEED_SAID, SPEED_HEAD, rows)
    pairs = settings(options, device, [2])
    if "numerics" not in options.skip:
        page.table("Lower precision", NUMERICS_SAID, NUMERICS_HEAD, numerics(pairs))
    if "determinism" not in options.skip:
        page.table("Determinism", DETERMINISM_SAID, DETERMINISM_HEAD, determinism(pairs))


if __name__ == "__main__":
    main()
