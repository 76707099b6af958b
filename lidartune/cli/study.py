"""The command of the scripts under `study/`: a whole study, or only its plan."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lidartune.cli.console import console
from lidartune.errors import UserError

_STUDY = "Run a transfer study, or go on with one: what is in the results folder is not done again."
_SEARCH = """Search settings and recipes by their validation score, or go on with a search, and judge the best on fresh
seeds (docs/search.md). What is in the results folder is not done again."""


def study_command(default: Path, *, searches: bool = False) -> click.Command:
    """The command of a study script; `default` is the study it runs without arguments, `searches` refuses a grid."""

    @click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=_SEARCH if searches else _STUDY)
    @click.option(
        "--config",
        type=click.Path(path_type=Path),
        default=default,
        help=f"The study.  [default: study/{default.name}]",
    )
    @click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Replace a value, repeatedly: grid.width=[512]."
    )
    @click.option("--synthetic", metavar="DIR", help="Folder of the synthetic dataset.  [default: the street world]")
    @click.option("--real", metavar="DIR", help="Folder of the real dataset.  [default: the street world]")
    @click.option(
        "--results", default="results", show_default=True, help="Folder of the runs and reports, or s3://bucket/folder."
    )
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
        from lidartune.config import load_config

        study = load_config(config, settings=settings, synthetic=synthetic, real=real)
        if searches and study.search.sampler == "grid":
            raise UserError(
                "this study runs a grid, and searches nothing",
                where=f"{config}: search.sampler",
                found="grid",
                wanted="tpe or random",
                do="run study/run_transfer_grid.py with it, or state a search (study/search.yaml)",
            )
        if plan:
            from lidartune.tuning.planned import show_plan  # loads neither Ray nor torch

            show_plan(study, results=results, console=console())
            return 0
        from lidartune.tuning import driver

        return driver.run_study(study, results=results, address=address, command=sys.argv, console=console())

    return command
