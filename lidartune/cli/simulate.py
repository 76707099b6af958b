"""`lidartune simulate`: the built-in street world, in a folder of the user's."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True, help="Another seed is another world.")
@click.option("--geometry-gap", default=1.0, show_default=True, help="How far the streets differ, 0 to 1.")
@click.option("--sensor-gap", default=1.0, show_default=True, help="How far the scanners differ, 0 to 1.")
@click.option("--processes", type=int, help="How many processes to use.  [default: all processors]")
@click.option("--picture", type=click.Path(path_type=Path), help="Also draw two scans of each domain into this PNG.")
def simulate(
    folder: Path, seed: int, geometry_gap: float, sensor_gap: float, processes: int | None, picture: Path | None
) -> None:
    """Make the built-in street world in FOLDER.

    Two labelled domains in the formats of SynLiDAR and SemanticKITTI, and beside each a data config with its split: the
    taxonomy to give to `check`, `stats`, `predict` and `evaluate`.
    """
    from lidartune.scans.splits import spelled
    from lidartune.streetworld import WorldSpec, write_world
    from lidartune.streetworld.data_configs import write_data_configs
    from lidartune.streetworld.picture import draw_world

    spec = WorldSpec(seed=seed, geometry_gap=geometry_gap, sensor_gap=sensor_gap)
    world = write_world(spec, folder, processes=processes, progress=True)
    configs = write_data_configs(world)
    if picture is not None:
        draw_world(folder, picture)
    for domain, root in (("synthetic", world.synthetic), ("real", world.real)):
        split = ", ".join(f"{part} {spelled(numbers)}" for part, numbers in world.splits[domain].items())
        click.echo(f"{domain:<9}  {root}\n           {configs[domain]}: {split}")
    click.echo(f"\nlook at it: lidartune check {world.real} --taxonomy {configs['real']}")
