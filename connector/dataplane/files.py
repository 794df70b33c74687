"""Assets that are files below one folder (`dataAddress` {"type": "File", "path": ...}), with ranges and validators.

The folder is the operator's choice, the path is whoever registers assets: it cannot leave the folder, neither by `..`
nor by a symbolic link. aiohttp's own FileResponse is not used: it looks for packed siblings beside the file, which may
be anything. Reading happens in threads, as a disk may be slow; a range costs what it delivers.
"""

import asyncio
import mimetypes
import os
import re
import stat
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import BinaryIO, Final

from multidict import CIMultiDict
from typing_extensions import override

from connector.dataplane.payloads import matches
from connector.dataplane.source import Ask, Content, Prepared, Reader, Source, SourceFault, only_read
from connector.exchange.ports import Tx
from connector.exchange.records import Asset
from connector.protocol.errors import Invalid
from connector.protocol.transfer_messages import short_name

CHUNK: Final = 256 << 10
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class FileSource(Source):
    """Files below `folder`. Raise Invalid if there is no such folder."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise Invalid(f"the folder of file assets, {folder}, does not exist")
        self._folder = folder.resolve()

    @override
    def check(self, asset: Asset) -> None:
        self._file(asset)

    @override
    def prepare(self, tx: Tx, asset: Asset, reader: Reader) -> Prepared:
        return Prepared(self._file(asset).open)

    def _file(self, asset: Asset) -> "_File":
        given = {short_name(key): value for key, value in asset.data_address.items()}
        path = given.get("path", "")
        if not path or "\0" in path:
            raise Invalid("a file's address needs a path", "/dataAddress/path")
        return _File(self._folder, path, given.get("contentType"))


@dataclass(frozen=True, slots=True)
class _File:
    folder: Path
    path: str
    content_type: str | None

    def open(self, ask: Ask) -> AbstractAsyncContextManager[Content]:
        """The file or a part of it; a path or query after the public URL means nothing here."""
        only_read(ask)
        return self._open(ask)

    @asynccontextmanager
    async def _open(self, ask: Ask) -> AsyncIterator[Content]:
        file = await asyncio.to_thread(self._inside)
        try:
            yield self._content(ask, file)
        finally:
            await asyncio.to_thread(file.close)

    def _inside(self) -> BinaryIO:
        """Open the file, wherever its links lead, as long as that is inside the folder."""
        try:
            real = (self.folder / self.path).resolve(strict=True)
            if not real.is_relative_to(self.folder):
                raise SourceFault("the asset's file is not inside the folder of file assets")
            file = open(os.open(real, _FLAGS), "rb", buffering=0)  # noqa: PTH123, SIM115 - a descriptor, closed by _open
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            raise SourceFault("the asset's file cannot be read") from error
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
        raise SourceFault("the asset's file is not a regular file")

    def _content(self, ask: Ask, file: BinaryIO) -> Content:
        status = os.fstat(file.fileno())
        size = status.st_size
        etag = f'"{status.st_mtime_ns:x}-{size:x}"'
        modified = formatdate(status.st_mtime, usegmt=True)
        fields = CIMultiDict({"ETag": etag, "Last-Modified": modified, "Accept-Ranges": "bytes"})
        if self._unchanged(ask, etag, modified):
            return Content(304, fields)
        fields["Content-Type"] = self.content_type or mimetypes.guess_type(self.path)[0] or "application/octet-stream"
        asked = ask.headers.get("Range") if ask.method == "GET" else None
        if asked is None or ask.headers.get("If-Range", etag) not in {etag, modified}:
            return self._part(200, fields, file, range(size))
        part = byte_range(asked, size)
        if part is None:
            return self._part(200, fields, file, range(size))
        if not part:
            fields["Content-Range"] = f"bytes */{size}"
            return Content(416, fields)
        fields["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
        return self._part(206, fields, file, part)

    @staticmethod
    def _unchanged(ask: Ask, etag: str, modified: str) -> bool:
        if (known := ask.headers.get("If-None-Match")) is not None:
            return matches(known, etag)
        return ask.headers.get("If-Modified-Since") == modified

    @staticmethod
    def _part(status: int, fields: CIMultiDict[str], file: BinaryIO, part: range) -> Content:
        fields["Content-Length"] = str(len(part))
        left = len(part)
        file.seek(part.start)

        async def read() -> bytes:
            nonlocal left
            if left == 0:
                return b""
            chunk = await asyncio.to_thread(file.read, min(CHUNK, left))
            if not chunk:
                raise SourceFault("the asset's file became shorter while it was read")
            left -= len(chunk)
            return chunk

        return Content(status, fields, read=read)


def byte_range(field: str, size: int) -> range | None:
    """The one range that a Range field asks for, cut to `size`; empty if there is nothing there (416).

    None for what a server may ignore (RFC 9110, 14.2): another unit, several ranges, or a field it cannot read.
    """
    found = _RANGE.fullmatch(field.replace(" ", ""))
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return range(max(0, size - int(found[2])), size)
    first, last = int(found[1]), int(found[2]) if found[2] else size - 1
    if found[2] and last < first:
        return None
    return range(min(first, size), max(min(first, size), min(last + 1, size)))
