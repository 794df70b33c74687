"""The Dataspace Protocol 2025-1, sans-IO: messages, state machines, catalog views. Standard library only."""
