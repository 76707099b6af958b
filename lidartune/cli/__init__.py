"""The command line: `lidartune ...`, one module for each command, and what the scripts under `study/` share."""

from __future__ import annotations

import logging
import os
import signal
import sys
from types import FrameType

import click

from lidartune import __version__
from lidartune.cli.check import check
from lidartune.cli.curves import curves
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


for _command in (check, stats, taxonomy, show, predict, evaluate, import_bonnetal, export, simulate, report, curves):
    lidartune.add_command(_command)


GO_ON = {
    "stats": "what was measured is kept, and the same command goes on from there",
    "predict": "the predictions written so far stay, and the same command goes on from there",
    "study": "what is committed stays, and the same command goes on from there",
}
"""What an interrupt leaves of a command; the others start from the beginning."""


def run(command: click.Command) -> None:
    """Runs a command and exits: 0 done, 1 the input is wrong, 2 some cells failed, 130 interrupted."""
    logging.captureWarnings(True)
    _answer_interrupts_at_once(_left_by(command))
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
        _fail("interrupted; " + _left_by(command), 130)
    sys.exit(status if isinstance(status, int) else 0)


def _left_by(command: click.Command) -> str:
    """What an interrupt leaves of the command that the user typed; the scripts under `study/` are no group."""
    name = "study"
    if isinstance(command, click.Group):
        name = next((word for word in sys.argv[1:] if word in command.commands), "")
    return GO_ON.get(name, "the same command starts from the beginning")


def _answer_interrupts_at_once(left: str) -> None:
    """Ctrl-C and SIGTERM are answered before processes and files are put away, which may take seconds.

    The second ends the process where it stands: whatever must be whole is written so that it is at every moment, and
    the processes that this one started end with it.
    """
    owner = os.getpid()
    free = [number for number, default in _INTERRUPTS.items() if signal.getsignal(number) is default]

    def stop(number: int, frame: FrameType | None) -> None:
        for other in free:
            signal.signal(other, end_at_once)
        if os.getpid() == owner:  # a fork of this process has the handler too
            os.write(2, b"\nstopping ... (once more ends it at once)")  # a print in a handler may meet itself
        elif number == signal.SIGTERM:
            os._exit(128 + number)
        raise KeyboardInterrupt

    def end_at_once(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            cursor = b"\x1b[?25h" if os.isatty(2) else b""  # a live table hides it
            os.write(2, cursor + f"\nended at once; {left}\n".encode())
        os._exit(130)

    for number in free:
        signal.signal(number, stop)


_INTERRUPTS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


def _fail(message: str, status: int) -> None:
    click.echo(f"error: {message}" if status == 1 else message, err=True)
    sys.exit(status)


def main() -> None:
    """Entry point of the `lidartune` command."""
    run(lidartune)
