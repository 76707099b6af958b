"""Training steps and predictions of lidartune.backbones against the plain formulation, in one interleaved run.

    python benchmarks/backbones.py [--names squeezesegv2 ...] [--widths 512 1024 2048] [--threads 2] [--rounds 9]

All have the same weights. Every round times one step of each in turn; printed are the plain formulation's median
seconds, and how many times faster each of ours is by its median. Trust the ratios: seconds move with the machine's
load. `exact`, `fast` and `compiled` are `lidartune predict --speed`; `error` is the largest difference of their logits
from the plain ones, relative to the largest logit.
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
from lidartune.backbones.inference import Compiled, for_inference


def training_step(model: nn.Module, x: Tensor, truth: Tensor) -> Callable[[], None]:
    """Forward, weighted cross-entropy, backward and an SGD update."""
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        model.train()
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), truth).backward()
        optimiser.step()

    return step


def prediction(model: Callable[..., Tensor], *inputs: Tensor) -> Callable[[], Tensor]:
    """Inference without gradients."""

    def step() -> Tensor:
        with torch.inference_mode():
            return model(*inputs)

    return step


def interleaved(steps: list[Callable[[], object]], rounds: int, warm_up: int = 2) -> list[float]:
    """Median seconds of each step, the steps taken in turn."""
    times: list[list[float]] = [[] for _ in steps]
    for round_number in range(rounds + warm_up):
        for step, taken in zip(steps, times, strict=True):
            begin = time.perf_counter()
            step()
            if round_number >= warm_up:
                taken.append(time.perf_counter() - begin)
    return [statistics.median(taken) for taken in times]


def training_ratios(name: str, channels: float, x: Tensor, rounds: int) -> tuple[float, float]:
    """Seconds of the plain training step, and how many times faster ours is."""
    torch.manual_seed(0)
    ours, twin = build(name, channels=channels), plain(name, channels=channels)
    twin.load_state_dict(ours.state_dict())
    truth = torch.randint(0, 20, (x.shape[0], *x.shape[2:]))
    slow, fast = interleaved([training_step(twin, x, truth), training_step(ours, x, truth)], rounds)
    return slow, slow / fast


def prediction_ratios(
    name: str, channels: float, x: Tensor, rounds: int, with_compiled: bool
) -> tuple[float, list[float], float]:
    """Seconds of the plain prediction, how many times faster each of ours is, and their largest error."""
    torch.manual_seed(0)
    ours, twin = build(name, channels=channels), plain(name, channels=channels)
    with torch.no_grad():
        ours.train()(x)  # running statistics that are not those it began with
    ours.eval()
    twin.eval().load_state_dict(ours.state_dict())
    steps = [prediction(twin, x), prediction(ours, x), prediction(for_inference(ours), x)]
    if with_compiled:
        torch._dynamo.reset()  # which compiles no more than a few variants of one piece of code
        batch, _, height, width = x.shape
        steps.append(prediction(Compiled(ours, batch, height, width), x, x[:, 0] != 0))
    wanted, *found = [step() for step in steps]
    error = max(float((logits - wanted).abs().max() / wanted.abs().max()) for logits in found)
    slow, *fast = interleaved(steps, rounds)  # type: ignore[arg-type]
    return slow, [slow / seconds for seconds in fast], error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--height", type=int, default=64)
    parser.add_argument("--widths", nargs="+", type=int, default=[512, 1024, 2048])
    parser.add_argument("--channels", nargs="+", type=float, default=[1.0])
    parser.add_argument("--batches", nargs="+", type=int, default=[1])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-training", action="store_true")
    parser.add_argument("--no-compiled", action="store_true", help="leave out what takes 10 to 60 s to compile")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} thread(s), medians of {options.rounds} interleaved rounds\n")
    print("| backbone | canvas | channels | batch | training: plain s | ours | prediction: plain s |", end="")
    print(" exact | fast | compiled | error |\n" + "|---" * 11 + "|")
    for name in options.names:
        for channels in options.channels:
            for width in options.widths:
                for batch in options.batches:
                    x = torch.randn(batch, 5, options.height, width, generator=torch.Generator().manual_seed(1))
                    line = f"| {name} | {options.height} x {width} | {channels:g} | {batch} |"
                    if options.no_training:
                        line += " | |"
                    else:
                        slow, ratio = training_ratios(name, channels, x, options.rounds)
                        line += f" {slow:.3f} | {ratio:.2f} |"
                    slow, ratios, error = prediction_ratios(
                        name, channels, x, options.rounds, not options.no_compiled
                    )
                    cells = [f"{ratio:.2f}" for ratio in ratios] + [""] * options.no_compiled
                    print(f"{line} {slow:.3f} | {' | '.join(cells)} | {error:.0e} |", flush=True)


if __name__ == "__main__":
    main()
