"""A small data space on one machine: several nodes, each its own process, that know one another; and a story in it."""
