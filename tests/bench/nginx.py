"""nginx as a proxy with buffering: what a stream through the data plane is compared with, where nginx is installed."""

import grp
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from connector.sandbox.ports import HOST, Ports

WAIT_S: Final = 10.0
TEMPORARY: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Unusable(Exception):
    """There is no nginx, or it does not start."""


def configuration(folder: Path, port: int, upstream: str, user: str) -> str:
    """One worker, as our node is one process, before the server `upstream` (host:port), that buffers by its defaults.

    The source of the data sends from memory, and so nothing here may use sendfile either.
    """
    folders = "\n".join(f"    {name}_temp_path {folder / name};" for name in TEMPORARY)
    return f"""\
user {user};
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{
    worker_connections 256;
}}
http {{
    access_log off;
    sendfile off;
{folders}
    upstream source {{
        server {upstream};
        keepalive 32;
    }}
    server {{
        listen {HOST}:{port};
        location / {{
            proxy_pass http://source;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering on;
        }}
    }}
}}
"""


@contextmanager
def nginx(source: str) -> Iterator[str]:
    """The root of a running one before the server at `source` (http://host:port). Raise Unusable if there is none."""
    program = shutil.which("nginx")
    if program is None:
        raise Unusable("nginx is not on PATH")
    with tempfile.TemporaryDirectory(prefix="connector-bench-") as made, Ports() as ports:
        folder, port = Path(made), ports.take()
        file = folder / "nginx.conf"
        user = f"{pwd.getpwuid(os.geteuid()).pw_name} {grp.getgrgid(os.getegid()).gr_name}"
        file.write_text(configuration(folder, port, source.removeprefix("http://"), user), encoding="utf-8")
        command = [program, "-p", made, "-c", str(file)]
        ports.hand_over()
        _run(command)  # it returns as soon as it listens, and goes on in the background
        try:
            yield f"http://{HOST}:{port}"
        finally:
            _run([*command, "-s", "stop"])


def _run(command: list[str]) -> None:
    """Raise Unusable with the end of what it said."""
    with tempfile.TemporaryFile() as said:  # a pipe would stay open as long as the worker runs
        done = subprocess.run(command, check=False, timeout=WAIT_S, stdin=subprocess.DEVNULL, stdout=said, stderr=said)  # noqa: S603 - of PATH
        if done.returncode:
            said.seek(0)
            raise Unusable(
                f"nginx has ended with {done.returncode}: {said.read()[-300:].decode(errors='replace').strip()}"
            )
