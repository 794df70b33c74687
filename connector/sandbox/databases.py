"""Where the nodes of a sandbox keep their data: a file each, or a database each on a PostgreSQL server.

A kept folder finds its databases again: those of its own server are in it, on somebody else's server they carry the
folder's token in their names. Without a folder nothing is left behind.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from connector.sandbox.cluster import cluster, create_database, drop_database

SQLITE: Final = "sqlite"
NAMES_FILE: Final = "databases"
CLUSTER_FOLDER: Final = "postgres"
Databases = Callable[[Path | None, Sequence[str]], AbstractAsyncContextManager[Mapping[str, str]]]
"""For a kept folder, or None, and the names of nodes: their settings `store.url`, usable as long as it lasts."""


@asynccontextmanager
async def in_files(_: Path | None, nodes: Sequence[str]) -> AsyncIterator[Mapping[str, str]]:
    """A SQLite file for each node, in its own folder."""
    yield dict.fromkeys(nodes, SQLITE)


def on_postgres(server: str | None) -> Databases:
    """A database for each node at `server`, the URL of a database of a user who may create others.

    None starts a server of the sandbox's own. What opens the databases raises LocalError if the server cannot be used.
    """

    @asynccontextmanager
    async def databases(folder: Path | None, nodes: Sequence[str]) -> AsyncIterator[Mapping[str, str]]:
        async with AsyncExitStack() as stack:
            url, prefix = server, ""
            if url is None:
                own = cluster(None if folder is None else folder / CLUSTER_FOLDER)
                url = await asyncio.to_thread(stack.enter_context, own)
            else:
                prefix = f"connector_{_token(folder)}_"
            urls = {}
            for node in nodes:
                name = prefix + node.replace("-", "_")
                if server is not None and folder is None:
                    stack.push_async_callback(asyncio.to_thread, drop_database, url, name)
                urls[node] = await asyncio.to_thread(create_database, url, name)
            yield urls

    return databases


def _token(folder: Path | None) -> str:
    """What tells the databases of this sandbox from others on the same server."""
    if folder is None:
        return secrets.token_hex(4)
    file = folder / NAMES_FILE
    if not file.exists():
        file.write_text(secrets.token_hex(4), encoding="utf-8")
    return file.read_text(encoding="utf-8")
