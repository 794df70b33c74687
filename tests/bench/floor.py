"""The floor: what the parts of an exchange cost without a connector, on this machine, in this run.

An exchange cannot be faster than its messages, its signatures and its durable commits one after another. From these the
floor of each figure is put together (`Floor.of`); the table shows how far above it the connector stands.
"""

import os
import secrets
import sqlite3
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.bench.load import timed
from tests.bench.report import Report

TOKEN: Final = "t" * 600
"""As long as the tokens that messages carry."""
BODY: Final = b'{"@type":"ContractRequestMessage","filler":"' + b"x" * 1000 + b'"}'
PAGE: Final = 4096


@dataclass(frozen=True, slots=True)
class Work:
    """What lies one after another in an exchange: requests, signed tokens, durable commits."""

    posts: int
    tokens: int
    commits: int


CATALOG: Final = Work(posts=2, tokens=1, commits=0)
"""The application's request and the message that follows from it."""
NEGOTIATION: Final = Work(posts=5, tokens=4, commits=5)
"""The application's request; request, agreement, verification, finalization. Who receives commits before answering, and
promises the next message in the same commit; the first promise is a commit of its own."""
REUSED: Final = Work(posts=5, tokens=2, commits=3)
"""Transfer, address and data for the application; request and start between the connectors."""
ONE_CALL: Final = Work(
    posts=NEGOTIATION.posts + REUSED.posts, tokens=NEGOTIATION.tokens + REUSED.tokens, commits=NEGOTIATION.commits + 2
)
"""Negotiation and transfer; the transfer is promised in the commit that receives the finalization."""
WHOLE: Final = Work(
    posts=CATALOG.posts + NEGOTIATION.posts + REUSED.posts,
    tokens=CATALOG.tokens + NEGOTIATION.tokens + REUSED.tokens,
    commits=NEGOTIATION.commits + REUSED.commits,
)


@dataclass(frozen=True, slots=True)
class Floor:
    """Medians in milliseconds."""

    post: float
    token: float
    commit: float
    fdatasync: float

    def of(self, work: Work) -> float:
        """Milliseconds that this work takes at least."""
        return work.posts * self.post + work.tokens * self.token + work.commits * self.commit


async def measure(source: str, folder: Path, rounds: int, report: Report) -> Floor:
    """Measure the parts; `source` is the root of a bare server in another process."""
    async with aiohttp.ClientSession() as session:

        async def post() -> None:
            async with session.post(
                f"{source}/post", data=BODY, headers={"Authorization": f"Bearer {TOKEN}"}
            ) as answer:
                await answer.read()

        posts = await timed(rounds, post, warm_up=20)
    parts = {
        "bare aiohttp POST, 600-byte token": posts,
        "durable commit (SQLite, WAL, FULL)": commits(folder / "floor.sqlite", rounds),
        "ES256, sign and verify": signatures(rounds),
        "fdatasync of 4 KiB": syncs(folder, rounds),
    }
    for name, values in parts.items():
        report.add(name, "ms", values)
    post_ms, commit, token, sync = (statistics.median(values) for values in parts.values())
    return Floor(post=post_ms, token=token, commit=commit, fdatasync=sync)


def commits(file: Path, rounds: int) -> list[float]:
    """One row of 1 kB and its commit, with the settings of the node's database."""
    database = sqlite3.connect(file, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, doc BLOB)")

        def once() -> None:
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO row (doc) VALUES (?)", (BODY,))
            database.execute("COMMIT")

        return _each(rounds, once)
    finally:
        database.close()


def signatures(rounds: int) -> list[float]:
    """A signature over 600 bytes, and its verification."""
    key = ec.generate_private_key(ec.SECP256R1())
    public, how, data = key.public_key(), ec.ECDSA(hashes.SHA256()), secrets.token_bytes(len(TOKEN))
    return _each(rounds, lambda: public.verify(key.sign(data, how), data, how))


def syncs(folder: Path, rounds: int) -> list[float]:
    """A page appended to a file and brought to the disk."""
    sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
    with (folder / "floor.bytes").open("wb", buffering=0) as out:

        def once() -> None:
            out.write(bytes(PAGE))
            sync(out.fileno())

        return _each(rounds, once)


def _each(rounds: int, once: Callable[[], None]) -> list[float]:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        once()
        took.append((time.perf_counter() - began) * 1000)
    return took
