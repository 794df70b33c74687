"""The database: everything the node remembers, in one transaction (see `connector.exchange.ports.Store`)."""
