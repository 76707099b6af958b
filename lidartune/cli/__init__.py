"""The command line: `lidartune ...`, one module for each command, and what the scripts under `study/` share."""

from __future__ import annotations

import logging
import sys

import click

from lidartune import __version__
from lidartune.cli.check import check
from lidartune.cli.evaluate import evaluate
from lidartune.cli.export import export
from lidartune.cli.import_bonnetal import import_bonnetal
from lidartune.cli.predict import predict
from lidartune.cli.report import report
from lidartune.cli.show import show
from lidartune.cli.simulate import simulate
from lidartune.cli.stats import stats
from lidartune.cli.study import study_command
from lidartune.cli.taxonomy import taxonomy
from lidartune.errors import UserError

__all__ = ["lidartune", "main", "run", "study_command"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def lidartune() -> None:
    """Domain-transfer studies for LiDAR range-image segmentation. The main job is study/run_transfer_grid.py."""


for _command in (check, stats, taxonomy, show, predict, evaluate, import_bonnetal, export, simulate, report):
    lidartune.add_command(_command)


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
