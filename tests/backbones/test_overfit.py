"""Every backbone learns four scans by heart."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidartune.backbones import NAMES, build

HEIGHT, WIDTH = 16, 64
ROAD, WALL, CAR, POST = 1, 2, 3, 4


def directions() -> Tensor:
    """Unit vectors (3, H, W) of a sensor's rays, from 3 degrees above the horizon to 25 below."""
    pitch = torch.deg2rad(3 - 28 * (torch.arange(HEIGHT) + 0.5) / HEIGHT)
    yaw = math.pi * (1 - 2 * (torch.arange(WIDTH) + 0.5) / WIDTH)
    pitch, yaw = torch.meshgrid(pitch, yaw, indexing="ij")
    return torch.stack([pitch.cos() * yaw.cos(), pitch.cos() * yaw.sin(), pitch.sin()])


def obstacles(rays: Tensor, columns: int, top_m: float, generator: torch.Generator) -> Tensor:
    """Ranges (H, W) of four upright things on the road, `columns` wide, reaching up to `top_m`; inf elsewhere."""
    range_m = torch.full((HEIGHT, WIDTH), torch.inf)
    for _ in range(4):
        first = int(torch.randint(0, WIDTH, (), generator=generator))
        away_m = 5 + 10 * torch.rand((), generator=generator)
        for column in (c % WIDTH for c in range(first, first + columns)):
            height_m = away_m * rays[2, :, column]
            range_m[:, column] = torch.where((height_m > -1.7) & (height_m < top_m), away_m, range_m[:, column])
    return range_m


def street(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A scan (5, H, W) of a road between walls, with cars and posts and 5 % of the rays lost; its classes (H, W)."""
    rays = directions()
    road = torch.where(rays[2] < 0, -1.7 / rays[2], torch.inf)
    wall = (8 + 4 * torch.rand((), generator=generator)) / rays[1].abs().clamp(min=1e-6)
    wall = torch.where((wall * rays[2]).abs() < 6, wall, torch.inf)
    things = [obstacles(rays, 6, 0.0, generator), obstacles(rays, 2, 1.5, generator)]
    range_m, kind = torch.stack([road, wall, *things]).min(0)
    seen = (range_m < 50) & (torch.rand(HEIGHT, WIDTH, generator=generator) > 0.05)
    range_m = torch.where(seen, range_m, 0.0) * (1 + 0.002 * torch.randn(HEIGHT, WIDTH, generator=generator))
    remission = torch.tensor([0.2, 0.4, 0.7, 0.5])[kind] + 0.05 * torch.randn(HEIGHT, WIDTH, generator=generator)
    image = torch.cat([range_m[None], range_m * rays, remission[None]]) * seen
    return image, torch.where(seen, kind + ROAD, 0)


def four_scans() -> tuple[Tensor, Tensor]:
    """Normalised images (4, 5, H, W) and classes (4, H, W); 0 is empty."""
    generator = torch.Generator().manual_seed(3)
    images, truth = (torch.stack(part) for part in zip(*(street(generator) for _ in range(4)), strict=True))
    pixels = images.permute(1, 0, 2, 3)[:, truth > 0]
    means, stds = pixels.mean(1).view(-1, 1, 1), pixels.std(1).view(-1, 1, 1)
    return (images - means) / stds * (truth > 0).unsqueeze(1), truth


def test_the_scans_hold_every_class() -> None:
    _, truth = four_scans()
    for scan in truth:
        assert {ROAD, WALL, CAR, POST} <= set(scan.unique().tolist())


@pytest.mark.parametrize("name", NAMES)
def test_99_percent_of_the_pixels_within_200_steps(name: str) -> None:
    torch.manual_seed(0)
    x, truth = four_scans()
    net = build(name, channels=0.25, num_classes=5, dropout=0.0, bn_momentum=0.1)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    accuracy = 0.0
    for step in range(200):
        net.train()
        optimiser.zero_grad()
        F.cross_entropy(net(x), truth, ignore_index=0).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        if step % 10 == 9:
            with torch.no_grad():
                right = net.eval()(x).argmax(1) == truth
            accuracy = right[truth > 0].float().mean().item()
            if accuracy >= 0.99:
                return
    pytest.fail(f"{accuracy:.3f} of the pixels right after 200 steps")
