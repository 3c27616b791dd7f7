"""The command ``kinetics``: its verbs, and how errors are told.

Exit codes: 0 done, 1 something is incomplete or disagrees, 2 the input cannot be used, 3 this
machine or its network is at fault, 130 interrupted. An error is one paragraph on stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from kinetics_assets.core.errors import EnvironmentFault, InputError, KineticsError
from kinetics_assets.io.atomic import os_faults

_VERBS = {
    "demo": "Make a small dataset from generated clips; a first look.",
    "up": "Serve the Dagster UI and its daemon on this machine.",
    "prepare": "Make a dataset, or chosen splits, classes and stages of it.",
    "status": "Say what is there, what is missing and why, per class.",
    "backfill": "Launch a Dagster backfill of the classes that need work.",
    "verify": "Report every disagreement of disk, manifests and lists.",
    "annotations": "Compare lists: what changed, which clips two sets share.",
    "takedown": "Delete clips for good, and never fetch them again.",
    "doctor": "Say what of this machine is usable, and what mends the rest.",
}
"""Verb -> its line in the help; a verb's module is imported only when it is used."""


class _Verbs(click.Group):
    """A group whose commands are modules of `kinetics_assets.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of use."""
        del ctx
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a verb, None if there is no such verb."""
        del ctx
        if cmd_name not in _VERBS:
            return None
        command = getattr(import_module(f"kinetics_assets.commands.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - tells the type checker
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs without importing them."""
        del ctx
        with formatter.section("Verbs"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kinetics-assets", prog_name="kinetics")
def kinetics() -> None:
    """Kinetics, from annotation lists to what a trainer reads, as Dagster assets.

    Settings: kinetics.toml under the root, or KINETICS_<TABLE>__<FIELD>. `kinetics VERB --help`
    says more. Start with `kinetics demo`.
    """


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    sys.exit(run(argv))


def run(argv: Sequence[str] | None = None) -> int:
    """Return the exit code of a command line, after errors were told on stderr."""
    try:
        with os_faults("reading or writing files"):
            outcome = kinetics.main(args=argv, prog_name="kinetics", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted. The same command goes on where it was.", err=True)
        return 130
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KineticsError as error:
        click.echo(f"error: {error}", err=True)
        return _exit_code(error)
    return outcome if isinstance(outcome, int) else 0


def _exit_code(error: KineticsError) -> int:
    """Return the exit code of an error."""
    if isinstance(error, InputError):
        return 2
    return 3 if isinstance(error, EnvironmentFault) else 1


if __name__ == "__main__":
    main()
