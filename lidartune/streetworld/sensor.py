"""The scanner: casts rays into a street from a station and returns points, kinds and instances."""

from __future__ import annotations

import dataclasses

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from lidartune.streetworld.domains import SensorStyle
from lidartune.streetworld.kinds import KIND
from lidartune.streetworld.parts import DARK, GLASS, SHINY
from lidartune.streetworld.scene import Street
from lidartune.streetworld.shapes import Array

FOV_UP_DEG, FOV_DOWN_DEG = 3.0, -25.0
_NEAR_M = 1.2
_TURN_S = 0.1


@dataclasses.dataclass(frozen=True)
class Scan:
    """One turn: points `(n, 4)` x, y, z [m] and remission 0..1 in the scanner's frame, ring by ring from the top."""

    points: NDArray[np.float32]
    kind: NDArray[np.uint8]
    instance: NDArray[np.uint32]


class Scanner:
    """A scanner in one street; the street's search tree is built once."""

    def __init__(self, street: Street, style: SensorStyle, beams: int, columns: int):
        self.street, self.style = street, style
        self.beams = beams
        self.columns = round(columns * (1 + style.extra_columns))
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, street.mesh.triangles)

    def scan(self, rng: np.random.Generator, station: int) -> Scan:
        """The scan taken at one of the street's stations."""
        style = self.style
        origins, directions = self._rays(rng)
        turn, foot = self._pose(rng, station)
        elapsed = np.tile((np.arange(self.columns) / self.columns - 0.5) * _TURN_S, self.beams)
        drift = np.zeros_like(origins)
        drift[:, 0] = style.speed_m_s * elapsed
        world_origins = ((origins + drift) @ turn.T + foot).astype(np.float32)
        world_directions = (directions @ turn.T).astype(np.float32)
        hit = self._scene.run(world_origins, world_directions, output=True)
        reach, triangle = hit["tfar"].astype(np.float64), hit["primID"]
        seen = (triangle >= 0) & (reach > _NEAR_M) & (reach < style.range_limit_m)
        rays = np.flatnonzero(seen)
        reach, triangle = reach[rays], triangle[rays]
        normal = hit["Ng"][rays].astype(np.float64)
        incidence = np.abs(np.einsum("ij,ij->i", normal, world_directions[rays].astype(np.float64)))
        incidence /= np.linalg.norm(normal, axis=1) + 1e-12
        remission = self._remission(rng, reach, incidence, triangle)
        kept = rng.random(len(rays)) >= self._drop_share(reach, incidence, triangle)
        reach = reach + style.range_noise_m * rng.standard_normal(len(reach))
        xyz = origins[rays] + directions[rays] * reach[:, None]
        points = np.column_stack([xyz, remission]).astype(np.float32)[kept]
        kind, instance = self.street.mesh.kind[triangle][kept], self.street.mesh.instance[triangle][kept]
        return Scan(points, *self._unlabel(rng, kind, instance))

    def elevations_deg(self) -> Array:
        """`(beams,)` from the top: even steps, or the two blocks of the HDL-64 (1/3 and 1/2 degree apart for 64)."""
        even = FOV_UP_DEG - (np.arange(self.beams) + 0.5) * (FOV_UP_DEG - FOV_DOWN_DEG) / self.beams
        upper = (self.beams + 1) // 2
        blocks = np.concatenate([np.linspace(2.0, -8.4, upper), np.linspace(-8.9, -24.6, self.beams - upper)])
        blocks += np.random.default_rng(64).normal(0, 1.6 / self.beams, self.beams)  # one scanner's calibration
        return even + self.style.uneven_beams * (blocks - even)

    def _rays(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Origins and unit directions `(beams * columns, 3)` in the scanner's frame."""
        style = self.style
        elevation = np.deg2rad(self.elevations_deg())[:, None]
        start = style.uneven_beams * rng.random()
        calibration = style.uneven_beams * np.random.default_rng(65).uniform(-0.5, 0.5, (self.beams, 1))
        step = np.arange(self.columns)[None] + 0.5 + start + calibration
        azimuth = np.pi - step * (2 * np.pi / self.columns)
        if style.angle_noise_deg:
            noise = np.deg2rad(style.angle_noise_deg)
            azimuth = azimuth + noise * rng.standard_normal(azimuth.shape)
            elevation = elevation + noise * rng.standard_normal(azimuth.shape)
        flat = np.cos(elevation)
        directions = np.stack(
            np.broadcast_arrays(flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)), -1
        )
        origins = np.zeros_like(directions)
        upper = (np.arange(self.beams) < (self.beams + 1) // 2)[:, None]
        origins[..., 2] = np.where(upper, style.origin_offset_m, -style.origin_offset_m)
        return origins.reshape(-1, 3), directions.reshape(-1, 3)

    def _pose(self, rng: np.random.Generator, station: int) -> tuple[Array, Array]:
        """Rotation of the scanner's frame into the world, and its place."""
        x, y, z, heading, climb, bank = self.street.stations[station]
        pitch, roll = np.deg2rad(self.style.tilt_deg) * rng.standard_normal(2)
        forward = np.array(
            [np.cos(heading) * np.cos(climb + pitch), np.sin(heading) * np.cos(climb + pitch), np.sin(climb + pitch)]
        )
        left = np.array([-np.sin(heading), np.cos(heading), np.tan(bank + roll)])
        left -= forward * (left @ forward)
        left /= np.linalg.norm(left)
        up = np.cross(forward, left)
        return np.column_stack([forward, left, up]), np.array([x, y, z]) + up * self.style.mount_height_m

    def _remission(
        self, rng: np.random.Generator, reach: Array, incidence: Array, triangle: NDArray[np.int32]
    ) -> Array:
        """0..1: reflectance and wetness, with falloff by range and incidence; grain on every surface."""
        style, mesh = self.style, self.street.mesh
        grain = np.exp(0.15 * rng.standard_normal(len(reach)))
        surface = mesh.reflectance[triangle].astype(np.float64) * self.street.wetness * grain
        falloff = 1.25 * incidence**0.4 * np.clip(reach / 6, 0.6, 1.0) * np.exp(-reach / 60)
        falloff = np.where(mesh.finish[triangle] == SHINY, 1.2, falloff)
        remission = np.clip(surface * (1 + style.intensity_model * (falloff - 1)), 0.0, 0.99)
        if style.remission_step:
            remission = np.round(remission / style.remission_step) * style.remission_step
        return np.clip(remission, 0.0, 0.99)

    def _drop_share(self, reach: Array, incidence: Array, triangle: NDArray[np.int32]) -> Array:
        """Probability that a return is lost: glass, dark paint, grazing rays, and a little everywhere."""
        mesh = self.street.mesh
        finish, reflectance = mesh.finish[triangle], mesh.reflectance[triangle]
        signal = (0.1 + reflectance) * incidence * np.exp(-reach / 50)
        lost = 0.01 + 0.99 * np.exp(-signal / 0.008)
        lost = np.where(finish == GLASS, 0.55 + 0.3 * (1 - incidence), lost)
        lost = np.where(finish == DARK, np.maximum(lost, 0.3), lost)
        return np.clip(self.style.drop * lost, 0.0, 1.0)

    def _unlabel(
        self, rng: np.random.Generator, kind: NDArray[np.uint8], instance: NDArray[np.uint32]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
        """Takes the label from short runs of points, and calls a few points outliers."""
        share = self.style.unlabelled
        starts = rng.random(len(kind)) < share / 8
        runs = np.convolve(np.append(starts, False), np.ones(8))[: len(kind)] > 0
        outliers = rng.random(len(kind)) < share / 15
        kind = np.where(outliers, KIND["outlier"], np.where(runs, KIND["unlabelled"], kind)).astype(np.uint8)
        return kind, np.where(runs | outliers, 0, instance).astype(np.uint32)
