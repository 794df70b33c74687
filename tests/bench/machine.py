"""On what it was measured: without that, no figure means anything."""

import datetime as dt
import os
import platform
import shutil
import sqlite3
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


def load_average() -> str:
    """Of 1, 5 and 15 minutes."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def machine(load_before: str, fdatasync_ms: float | None) -> list[tuple[str, str]]:
    """Names and values for the page; `load_before` was taken before the run, the other is taken now."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    packages = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "uvloop", "SQLAlchemy", "cryptography"))
    return [
        ("date", dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("commit", _commit()),
        ("processor", f"{_processor()}, {_cores()} cores"),
        ("memory", f"{memory:.1f} GB"),
        ("kernel", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}, {packages}"),
        ("SQLite", sqlite3.sqlite_version),
        ("fdatasync of 4 KiB", "not measured" if fdatasync_ms is None else f"{fdatasync_ms:.2f} ms, median"),
        ("load average", f"{load_before} before, {load_average()} after"),
    ]


def _cores() -> int:
    """Those that we may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown"


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"

    def said(*arguments: str) -> str:
        command = [git, "-C", str(ROOT), *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()  # noqa: S603 - git

    changed = said("status", "--porcelain", "--", "connector", "policies", "schemas")
    return (said("rev-parse", "--short", "HEAD") or "unknown") + (" and changes on top" if changed else "")
