"""The command line: `lidartune ...` and what the scripts under `study/` share."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click
from rich.console import Console

from lidartune import __version__
from lidartune.errors import UserError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def lidartune() -> None:
    """Domain-transfer studies for LiDAR range-image segmentation. The main job is study/run_transfer_grid.py."""


@lidartune.command()
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

    Two labelled domains in the formats of SynLiDAR and SemanticKITTI.
    """
    from lidartune.streetworld import WorldSpec, write_world
    from lidartune.streetworld.picture import draw_world

    spec = WorldSpec(seed=seed, geometry_gap=geometry_gap, sensor_gap=sensor_gap)
    world = write_world(spec, folder, processes=processes, progress=True)
    if picture is not None:
        draw_world(folder, picture)
    click.echo(f"synthetic  {world.synthetic}\nreal       {world.real}")


@lidartune.command()
@click.argument("study", type=click.Path(path_type=Path))
def report(study: Path) -> None:
    """Write the report of a study anew.

    STUDY is its folder, results/<study>; the tables are printed as well.
    """
    from lidartune.report import write_report

    folder = write_report(study, console=_console())
    click.echo(f"\nreport  {folder / 'index.html'}")


def study_command(default: Path) -> click.Command:
    """The command of a study script; `default` is the study it runs without arguments."""

    @click.command(context_settings={"help_option_names": ["-h", "--help"]})
    @click.option(
        "--config", type=click.Path(path_type=Path), default=default, help=f"The study.  [default: {default.name}]"
    )
    @click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Replace a value, repeatedly: grid.width=[512]."
    )
    @click.option("--synthetic", metavar="DIR", help="Folder of the synthetic dataset.  [default: the street world]")
    @click.option("--real", metavar="DIR", help="Folder of the real dataset.  [default: the street world]")
    @click.option("--results", default="results", show_default=True, help="Folder of the runs and reports.")
    @click.option("--plan", is_flag=True, help="Print what would be done and what it costs; start nothing.")
    @click.option("--address", help="Run on this Ray cluster: `auto` on one of its nodes.")
    def command(
        config: Path,
        settings: tuple[str, ...],
        synthetic: str | None,
        real: str | None,
        results: str,
        plan: bool,
        address: str | None,
    ) -> int:
        """Run a transfer study, or go on with one: what is in the results folder is not done again."""
        from lidartune.config import load_config

        if "://" in results:
            raise UserError(
                "results go to a folder of this machine or a shared file system, for now",
                where="--results",
                found=results,
                do="give a folder",
            )
        study = load_config(config, settings=settings, synthetic=synthetic, real=real)
        from lidartune.tuning import driver

        if plan:
            driver.show_plan(study, results=Path(results), console=_console())
            return 0
        return driver.run_study(
            study, results=Path(results), address=address, command=sys.argv, console=_console()
        )

    return command


def _console() -> Console:
    """The terminal, or 120 columns where the output goes to a file."""
    return Console(width=None if sys.stdout.isatty() else 120)


def run(command: click.Command) -> None:
    """Runs a command and exits: 0 done, 1 the input is wrong, 2 some cells failed, 130 interrupted."""
    logging.captureWarnings(True)
    try:
        status = command.main(standalone_mode=False)
    except UserError as error:
        _fail(str(error), 1)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.UsageError as error:
        usage = f"\n  {error.ctx.get_usage()}" if error.ctx else ""
        _fail(error.format_message() + usage, 1)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; what is committed stays, and the same command goes on from there", 130)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> None:
    click.echo(f"error: {message}" if status == 1 else message, err=True)
    sys.exit(status)


def main() -> None:
    """Entry point of the `lidartune` command."""
    run(lidartune)
