"""Training steps and forward passes of lidartune.backbones against the plain formulation, in one interleaved run.

    python benchmarks/backbones.py [--names squeezesegv2 ...] [--channels 0.25 1.0] [--batches 1 2 4] [--rounds 7]

Both have the same weights. Every round times one step of each, in turn; printed are medians. Trust the ratio, not the
absolute speed: that moves with the machine's load.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from plain_backbones import plain
from torch import Tensor, nn

from lidartune.backbones import NAMES, build

WITH_PLAIN = tuple(name for name in NAMES if name != "cenet")  # which has no plain twin yet

CANVASES = ("32x256", "32x512", "64x512")


def training_step(model: nn.Module, x: Tensor, truth: Tensor) -> Callable[[], None]:
    """Forward, weighted cross-entropy, backward and an SGD update."""
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    model.train()

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), truth).backward()
        optimiser.step()

    return step


def forward_pass(model: nn.Module, x: Tensor) -> Callable[[], None]:
    """Inference without gradients."""

    def step() -> None:
        model.eval()
        with torch.inference_mode():
            model(x)

    return step


def interleaved(steps: list[Callable[[], None]], rounds: int, warm_up: int = 2) -> list[float]:
    """Median seconds of each step, the steps taken in turn."""
    times: list[list[float]] = [[] for _ in steps]
    for round_number in range(rounds + warm_up):
        for step, taken in zip(steps, times, strict=True):
            begin = time.perf_counter()
            step()
            if round_number >= warm_up:
                taken.append(time.perf_counter() - begin)
    return [statistics.median(taken) for taken in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", default=list(WITH_PLAIN), choices=WITH_PLAIN)
    parser.add_argument("--canvases", nargs="+", default=list(CANVASES), help="HEIGHTxWIDTH")
    parser.add_argument("--channels", nargs="+", type=float, default=[0.25, 1.0])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} thread(s), medians of {options.rounds} interleaved rounds")
    print(
        f"{'backbone':13} {'canvas':>7} {'channels':>8} {'batch':>5}   train: plain ms   ours ms  ratio  scans/s"
        "   forward: plain ms   ours ms  ratio  scans/s"
    )
    for name in options.names:
        for channels in options.channels:
            for canvas in options.canvases:
                for batch in options.batches:
                    height, width = map(int, canvas.split("x"))
                    torch.manual_seed(0)
                    ours, twin = build(name, channels=channels), plain(name, channels=channels)
                    twin.load_state_dict(ours.state_dict())
                    x = torch.randn(batch, 5, height, width)
                    truth = torch.randint(0, 20, (batch, height, width))
                    line = f"{name:13} {canvas:>7} {channels:8.2f} {batch:5}"
                    for steps in (
                        [training_step(twin, x, truth), training_step(ours, x, truth)],
                        [forward_pass(twin, x), forward_pass(ours, x)],
                    ):
                        slow, fast = interleaved(steps, options.rounds)
                        line += f" {slow * 1e3:17.1f} {fast * 1e3:9.1f} {slow / fast:6.2f} {batch / fast:8.1f}  "
                    print(line, flush=True)


if __name__ == "__main__":
    main()
