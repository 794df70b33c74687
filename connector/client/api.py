"""How the client speaks: one aiohttp session, EDC's error body made readable, and waits that the server does.

Nothing here retries and nothing polls: a wait is one request that the server answers when there is something to say
(`?wait=STATE&timeout=SECONDS`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
from typing_extensions import override
from yarl import URL

from connector.protocol.errors import ConnectorError
from connector.protocol.vocabulary import EDC

CONTEXT: Final = {"@vocab": EDC, "edc": EDC}
"""The `@context` of our requests: EDC's names."""
POLICY_CONTEXT: Final = [CONTEXT, "http://www.w3.org/ns/odrl.jsonld"]
"""The `@context` of requests with a policy. Nowhere else: a processor that goes by it (EDC's) then misses the `type` of
data addresses and the `operator` of criteria, which ODRL's context gives a meaning of its own."""
TIMEOUT_S: Final = 30.0
_OK: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of EDC's error body. `path` is the place in what was sent, or ""."""

    message: str
    kind: str = ""
    path: str = ""
    value: object = None

    @override
    def __str__(self) -> str:
        return f"{self.message} (at {self.path})" if self.path and self.path not in self.message else self.message


class ApiError(ConnectorError):
    """The management API refused, or what was asked for did not come about.

    `status` is the HTTP status, 0 if there was no answer or if it was not the request that failed (a negotiation that
    the counterparty ended, for instance). `errors` says what is wrong and where.
    """

    def __init__(self, status: int, errors: Sequence[Fault]) -> None:
        self.status = status
        self.errors = tuple(errors)
        super().__init__("; ".join(str(e) for e in self.errors) or f"the management API answered {status}")
        self.pointer = next((e.path for e in self.errors if e.path), "")

    def to_json(self) -> dict[str, Any]:
        """For programs that read a command's `--json`."""
        errors = [{"message": e.message, "type": e.kind, "path": e.path} for e in self.errors]
        return {"status": self.status, "errors": errors}


def failure(text: str) -> ApiError:
    """An error that no HTTP status stands for."""
    return ApiError(0, (Fault(text),))


def path(*segments: str) -> str:
    """Join path segments; ids may hold any character."""
    return "/" + "/".join(quote(s, safe="") for s in segments)


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer: its JSON (None if it has no body) and, for lists, how many entries there are in all."""

    body: Any
    total: int | None


class Api:
    """A session with one management API. Open it with `async with`."""

    def __init__(self, management_url: str, api_key: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.url = management_url.rstrip("/")
        self._headers = {"X-Api-Key": api_key, "Content-Type": "application/json"}
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, raise_for_status=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, where: str, *, wait: str | None = None, timeout_s: float = 0.0) -> Any:  # noqa: ANN401 - any JSON
        """GET. wait: answer when the process is in this state (or has ended), at the latest after `timeout_s`."""
        return (await self.call("GET", where, wait=wait, timeout_s=timeout_s)).body

    async def post(
        self, where: str, body: Mapping[str, Any] | None = None, *, wait: str | None = None, timeout_s: float = 0.0
    ) -> Any:  # noqa: ANN401 - any JSON
        """POST, with our `@context` where the body brings none; `wait` as in `get`."""
        return (await self.call("POST", where, body, wait=wait, timeout_s=timeout_s)).body

    async def put(self, where: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
        """PUT, with our `@context` where the body brings none."""
        return (await self.call("PUT", where, body)).body

    async def delete(self, where: str) -> None:
        """DELETE."""
        await self.call("DELETE", where)

    async def call(
        self,
        method: str,
        where: str,
        body: Mapping[str, Any] | None = None,
        *,
        wait: str | None = None,
        timeout_s: float = 0.0,
    ) -> Reply:
        """Send and read the answer; a wait is added to the client's own timeout. Raise ApiError for all but 2xx."""
        if self._session is None:
            raise failure("the client is not open: use it in an async with statement")
        data = None if body is None else json.dumps({"@context": CONTEXT, **body}).encode()
        query = None if wait is None else {"wait": wait, "timeout": f"{timeout_s:g}"}
        limit = aiohttp.ClientTimeout(total=self._timeout_s + timeout_s)
        try:
            where_to = URL(self.url + where, encoded=True)  # ids stay as `path` has quoted them
            async with self._session.request(
                method, where_to, data=data, params=query, timeout=limit, allow_redirects=False
            ) as answer:
                raw = await answer.read()
                status, total = answer.status, answer.headers.get("X-Total-Count", "")
        except TimeoutError as error:
            raise failure(f"{self.url} did not answer in {limit.total:g} s") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise failure(
                f"{self.url} cannot be reached: {error}; is it running, and is this the URL of its management API?"
            ) from error
        if status not in _OK:
            raise ApiError(status, read_faults(status, raw))
        return Reply(_json(self.url, raw), int(total) if total.isdecimal() else None)


def _json(url: str, raw: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(raw) if raw else None
    except ValueError as error:
        raise failure(f"{url} did not answer with JSON: is it a management API?") from error


def read_faults(status: int, raw: bytes) -> list[Fault]:
    """Read an error body: EDC's array of errors, or whatever stands there instead."""
    try:
        doc = json.loads(raw)
    except ValueError:
        doc = None
    rows = doc if isinstance(doc, list) else [doc]
    faults = [_fault(row) for row in rows if isinstance(row, dict)]
    return faults or [Fault(f"the management API answered {status}{': wrong API key' * (status in (401, 403))}")]


def _fault(row: Mapping[str, Any]) -> Fault:
    return Fault(
        str(row.get("message") or row.get("type") or "no reason given"),
        str(row.get("type") or ""),
        str(row.get("path") or ""),
        row.get("invalidValue"),
    )
