"""Getting a company into a data space: a node's folder, its membership and credentials, and what still is wrong."""
