"""docs/how-to/find-a-passport.md does what it says: its commands ("console") are run, its descriptor is taken."""

import asyncio
import json
import os
import shlex
import sys
from pathlib import Path

from aiohttp import ClientSession

from connector.demo_data import passports
from tests.integration.passport_world import KEY, MAKER, OEM, Party, world
from tests.unit.docs_pages import blocks, read, shown


async def run(folder: Path, party: Party, *arguments: str) -> tuple[int, str]:
    """The command in a process of its own, as a user has it; its exit code and what it prints."""
    environment = {"CONNECTOR_URL": f"{party.running.management.url}/management", "CONNECTOR_API_KEY": KEY}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "connector", *arguments),
        stdout=asyncio.subprocess.PIPE,
        cwd=folder,
        env=os.environ | environment,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_the_page(tmp_path: Path) -> None:
    console, descriptor = blocks(read("docs/how-to/find-a-passport.md"))
    commands = [part.partition("\n")[::2] for part in console.content.split("$ connector ")[1:]]
    async with world(tmp_path, MAKER, OEM) as nodes:
        maker, oem = nodes[MAKER], nodes[OEM]
        offer = nodes.offer(OEM, "partner", "cx.circular.dpp:1")
        await maker.client.passports.publish(passports()[0], [offer])
        for line, expected in commands:
            code, said = await run(tmp_path, oem, *shlex.split(line))
            assert shown(expected).fullmatch(said.strip()), said
            assert code == 0
        kept = json.loads((tmp_path / "passport.json").read_bytes())
        assert kept["aspect"]["identification"]["category"] == "EV"
        code, said = await run(tmp_path, oem, "passport", "find", "no-such-battery", "--from", maker.did, "--json")
        assert (code, json.loads(said)["status"]) == (1, 404)
        registry = f"{maker.running.management.url}/twins/api/v3/shell-descriptors"
        async with (
            ClientSession(headers={"X-Api-Key": KEY}) as session,
            session.post(registry, data=descriptor.content) as answer,
        ):
            assert answer.status == 201
