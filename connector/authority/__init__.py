"""The authority of a data space: who is a member, and credentials that prove it (DCP 1.0, issuer; CX-0050, CX-0167).

    connector authority serve --config authority.toml

A program of its own with its own settings, database and DID: whoever runs a data space for trying out, a pilot or a
consortium runs one; a node never imports it. In Catena-X the operating company takes this part, and a node is told so
by `trusted_issuers` alone.

    settings     what can be set
    model        members, requests, credentials: what the register holds
    kinds        the four credentials of Catena-X: ids, subjects, schemas
    keys         the key it signs with, and those before it
    issuing      what a request brings, decided without clock, chance or I/O
    register     SQLite, one transaction for a request
    published    status lists and the BPN directory, as others get them
    delivery     credentials and offers on their way to wallets
    dcp          what participants reach: issuer service, lists, directory
    operating    what the operator reaches
    program      all of it, running
"""
