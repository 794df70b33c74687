"""ODRL policies, sans-IO: model, parsing, offer equality, three-valued evaluation that explains itself.

Needs the standard library and `connector.protocol.errors` only. Nothing here reads a clock; the one file read is the
vocabulary in `policies/`, once, when a text for a person first needs it.
"""
