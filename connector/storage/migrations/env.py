"""Runs the revisions on the connection that `connector.storage.schema` hands over; the node's lock is held already."""

from alembic import context

from connector.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
