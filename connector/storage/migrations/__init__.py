"""The history of the tables, for alembic. `connector.storage.schema` decides when it is read."""
