"""Runs revisions on the connection that `mesh.runtime.migrate` opened, or writes them down."""

from __future__ import annotations

from alembic import context

_told = context.config.attributes
if context.is_offline_mode():
    context.configure(
        dialect_name="postgresql",
        output_buffer=context.config.output_buffer,
        version_table=_told["version_table"],
        # One for all: a schema is there whole or not at all.
        transaction_per_migration=False,
    )
else:
    context.configure(
        connection=_told["connection"],
        version_table=_told["version_table"],
        transaction_per_migration=True,
    )
with context.begin_transaction():
    context.run_migrations()
