"""The `palestra` command, a module per group of commands.

Decides words, options and exit statuses. What it does is done by the modules that
it imports when a command is run, so that `--help` costs nothing.
"""

from __future__ import annotations

import typer

from mesh.local.cli import (
    accounts,
    admin,
    calls,
    faults,
    keys,
    letters,
    processes,
    routes,
    stack,
    workouts,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Palestra on one machine: stores, mesh and services with one command.",
)
for group in (stack.app, processes.app, letters.app, workouts.app, calls.app):
    app.add_typer(group)
app.add_typer(routes.app, name="route")
app.add_typer(faults.app, name="fault")
app.add_typer(keys.app, name="keys")
app.add_typer(admin.app, name="admin")
app.add_typer(accounts.app, name="account")
