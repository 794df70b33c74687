"""What the cases of every client share: the nodes they are given, a server with data, and how a case is judged.

It runs under the clients' Python, so it needs nothing but the standard library and typing_extensions, which they bring.
"""

import hashlib
import json
import queue
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final, Generic, TypeVar

from typing_extensions import override

LIMIT_S: Final = 60
"""What one case may take; then it has failed."""

DATA: Final = b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(1024))
"""32 KiB that no server makes up."""

S = TypeVar("S")
E = TypeVar("E", bound=BaseException)


@dataclass(frozen=True, slots=True)
class Node:
    """A connector, as its operator and its partners reach it."""

    name: str
    did: str
    bpn: str
    dsp: str
    management: str
    api_key: str = field(repr=False)
    pid: int

    @property
    def root(self) -> str:
        """The DSP address without the version's path, which is what directories publish."""
        return self.dsp.removesuffix("/2025-1")

    @property
    def host(self) -> str:
        """The management address without its path, as clients ask for the two separately."""
        return self.management.removesuffix("/management")


@dataclass(frozen=True, slots=True)
class Nodes:
    """A provider, a consumer, and a second provider that a case may end."""

    provider: Node
    consumer: Node
    mortal: Node

    @classmethod
    def read(cls) -> "Nodes":
        """From standard input: a JSON object with the three."""
        rows = json.load(sys.stdin)
        known = Node.__dataclass_fields__
        provider, consumer, mortal = (
            Node(**{name: value for name, value in rows[role].items() if name in known})
            for role in ("provider", "consumer", "mortal")
        )
        return cls(provider, consumer, mortal)


@dataclass(frozen=True, slots=True)
class Received:
    """A request that the data server got."""

    method: str
    path: str
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """The body, decoded."""
        return json.loads(self.body)


class Backend:
    """A server on loopback: what the provider's assets are made of, and where pushes and callbacks arrive.

    GET /data gives DATA; every other request is told back as JSON.
    """

    def __init__(self) -> None:
        received: queue.Queue[Received] = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                received.put(Received(self.command, self.path, body))
                told = {"method": self.command, "path": self.path, "body": body.decode(errors="replace")}
                plain = self.command == "GET" and self.path.rstrip("/") == "/data"
                content = DATA if plain else json.dumps(told).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/octet-stream" if plain else "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the base class's names

            @override
            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            @override
            def handle_error(self, *_: object) -> None:
                """A connection that the other side has closed is no news."""

        self._received = received
        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def methods(self, path: str) -> list[str]:
        """The methods of the requests to `path` until now; all that has come is dropped."""
        came = [self._received.get() for _ in range(self._received.qsize())]
        return [got.method for got in came if got.path == path]

    def wait_for(self, path: str) -> Received:
        """The next request to `path`; what comes before it is dropped. LIMIT_S ends the waiting."""
        while (got := self._received.get()).path != path:
            pass
        return got


class Skipped(Exception):
    """The case cannot be had here, for the reason given."""


@dataclass(slots=True)
class Cases(Generic[S]):
    """The cases of a client, in the order in which they were written down."""

    client: str
    _cases: list[tuple[str, Callable[[S], None]]] = field(default_factory=list)

    def __call__(self, text: str) -> Callable[[Callable[[S], None]], Callable[[S], None]]:
        """Decorate a case; `text` says what it shows."""

        def add(case: Callable[[S], None]) -> Callable[[S], None]:
            self._cases.append((text, case))
            return case

        return add

    def run(self, scene: S, only: str) -> bool:
        """Run those whose text contains `only`, with a line for each; whether none failed."""
        fine = [self._one(text, case, scene) for text, case in self._cases if only in text]
        return all(fine)

    def _one(self, text: str, case: Callable[[S], None], scene: S) -> bool:
        began, verdict, why = time.monotonic(), "ok", ""
        signal.alarm(LIMIT_S)
        try:
            case(scene)
        except Skipped as skipped:
            verdict, why = "skip", str(skipped)
        except Exception as error:  # noqa: BLE001 - whatever a client raises is a failure of this case alone
            verdict, why = "FAIL", f"{type(error).__name__}: {error}".replace("\n", " ")
        finally:
            signal.alarm(0)
        took = (time.monotonic() - began) * 1000
        print(f"{verdict:<4}  {self.client:<12}  {text:<76}  {took:6.0f}", flush=True)  # noqa: T201 - the report
        if why:
            print(f"      {why[:1500]}", flush=True)  # noqa: T201 - the report
        return verdict != "FAIL"


def run(modules: Sequence[Cases[S]], scene: S) -> int:
    """The exit code of all cases, or of those whose text contains the first argument: 0 if none failed."""
    signal.signal(signal.SIGALRM, _too_long)
    only = (*sys.argv[1:], "")[0]
    fine = [cases.run(scene, only) for cases in modules]
    return 0 if all(fine) else 1


def _too_long(*_: object) -> None:
    raise TimeoutError(f"it took longer than {LIMIT_S} s")


def same(found: object, expected: object) -> None:
    """Raise AssertionError with both if they differ."""
    if found != expected:
        raise AssertionError(f"expected {_shown(expected)}, found {_shown(found)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}... ({len(text)} characters)"


@contextmanager
def raises(kind: type[E], *words: str) -> Iterator[None]:
    """The block has to raise exactly this kind of exception, and its text to contain the words."""
    try:
        yield
    except kind as error:
        if type(error) is not kind:
            raise AssertionError(f"expected {kind.__name__}, found its heir {type(error).__name__}") from error
        missing = [word for word in words if word not in str(error)]
        if missing:
            raise AssertionError(f"{kind.__name__} does not say {missing}: {error}") from error
    else:
        raise AssertionError(f"expected {kind.__name__}")


def until(wanted: Callable[[], bool], pause_s: float = 0.05) -> None:
    """Ask again until it is so; LIMIT_S ends the waiting."""
    while not wanted():
        time.sleep(pause_s)


def dead_address() -> str:
    """A DSP address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return f"http://127.0.0.1:{held.getsockname()[1]}/api/v1/dsp/2025-1"
