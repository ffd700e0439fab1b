"""Alembic's entry: it is handed a connection inside a transaction by `metasync.store.migrations.upgrade`."""

from alembic import context

from metasync.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
