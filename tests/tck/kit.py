"""The conformance kit itself: fetched with Maven, run in a JVM, its result read.

The kit cannot be trusted to fail: it exits 0 whatever happened, and a case that was not run is not a case that passed.
So the numbers decide, and the number of cases is known.
"""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
CASES: Final = 65
VERSIONS: Final = {"1.0.1": "release", "1.0.0-RC6": "candidate"}
"""Newest first, with the profile of pom.xml that names its parts."""
FETCH_TIMEOUT_S: Final = 600
_VERDICT: Final = re.compile(r"(SUCCESSFUL|FAILED|ABORTED): (.*)")
_RESULT: Final = re.compile(r"RESULT (\d+) (\d+) (\d+)$")
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")


class KitError(Exception):
    """The kit could not be run, which says nothing about the node."""


@dataclass(frozen=True, slots=True)
class Result:
    """How many cases ended how."""

    passed: int
    failed: int
    aborted: int


def fetch() -> tuple[str, Path]:
    """(version, folder with its jars): the newest that is in the user's cache, else the newest that Maven can get."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for version in VERSIONS:
        if (folder := cache / f"dsp-tck-{version}").is_dir():
            return version, folder
    for program, package in (("javac", "default-jdk-headless"), ("mvn", "maven")):
        if shutil.which(program) is None:
            raise KitError(f"{program} is needed (Debian: apt-get install {package})")
    reasons = []
    for version, profile in VERSIONS.items():
        folder = cache / f"dsp-tck-{version}"
        reason = _copy(profile, folder)
        if reason is None:
            return version, folder
        reasons.append(f"{version}: {reason}")
    raise KitError("Maven cannot get the kit. " + "; ".join(reasons))


def _copy(profile: str, folder: Path) -> str | None:
    """Have Maven fill `folder`, at once or not at all. Return the reason if it cannot."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    command = ["mvn", "-B", "-q", "-f", str(HERE / "pom.xml"), "-P", profile]
    command += ["dependency:copy-dependencies", f"-DoutputDirectory={unfinished}"]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            lines = [line for line in _ANSI.sub("", done.stdout).splitlines() if line.strip()]
            return lines[0][:300] if lines else f"mvn ended with {done.returncode}"
        if not folder.exists():
            unfinished.rename(folder)
    except subprocess.TimeoutExpired:
        return f"nothing after {FETCH_TIMEOUT_S} s"
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return None


async def run(
    jars: Path, properties: Mapping[str, str], wanted: str, folder: Path, limit_s: float, say: Callable[[str], None]
) -> Result:
    """Run the cases whose id matches `wanted`; `say` gets a line for each. All the kit's own words are in kit.log."""
    settings = folder / "kit.properties"
    settings.write_text("".join(f"{key}={value}\n" for key, value in properties.items()), encoding="utf-8")
    with (folder / "kit.log").open("w", encoding="utf-8") as log:
        kit = await asyncio.create_subprocess_exec(
            *("java", "-Xmx512m", "-cp", f"{jars}/*", str(HERE / "KitRun.java"), str(settings), wanted),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            limit=2**20,
        )
        result = None
        try:
            async with asyncio.timeout(limit_s):
                assert kit.stdout is not None
                async for raw in kit.stdout:
                    line = raw.decode("utf-8", "replace")
                    log.write(line)
                    if (verdict := _VERDICT.search(line)) is not None:
                        say(f"{verdict[1].lower():>10}  {verdict[2]}")
                    if (numbers := _RESULT.match(line)) is not None:
                        result = Result(*map(int, numbers.groups()))
                await kit.wait()
        except TimeoutError as error:
            raise KitError(f"the kit did not end within {limit_s:g} s, see {folder / 'kit.log'}") from error
        finally:
            if kit.returncode is None:
                kit.kill()
            await kit.wait()
    if result is None:
        raise KitError(f"the kit did not come to its end, see {folder / 'kit.log'}")
    return result
