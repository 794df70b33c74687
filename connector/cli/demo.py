"""`connector demo`: the battery passport story, told step by step, and checked."""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Final

import click

from connector.cli.terminal import FAILED, Said, json_option, refusals, say
from connector.sandbox.nodes import sandbox
from connector.sandbox.participants import COMPANIES, read_participants
from connector.sandbox.story import Story
from connector.sandbox.telling import Step, Telling

_INDENT: Final = " " * 6


@click.command()
@click.option(
    "--attach",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Tell the story on nodes that run already: a TOML file with one [[nodes]] table each (name = oem, cell-maker, "
    "cathode-supplier, perhaps oem-2, recycler and market-surveillance; did, bpn, dsp, management, key).",
)
@json_option
def demo(attach: Path | None, *, as_json: bool) -> None:
    """Run the battery passport story and check everything that it promises.

    The exit code is 0 only if all of it held. Without --attach an authority and the nodes are started for the story and
    removed after.
    """
    telling = Telling() if as_json else Telling(heard=_Narrator())
    with refusals(as_json=as_json):
        began = time.perf_counter()
        asyncio.run(_tell(telling, attach, as_json=as_json))
        took_s = time.perf_counter() - began
    if as_json:
        say(Said({**telling.to_json(), "took_s": round(took_s, 2)}, ok=telling.ok), as_json=True)
        return
    click.echo()
    for chapter in telling.left_out:
        click.echo(f"Left out: {chapter}.")
    if telling.ok:
        click.echo(f"All {len(telling.steps)} steps held, in {took_s:.1f} s.")
    else:
        click.echo(f"{len(telling.broken)} of {len(telling.steps)} steps did not hold:", err=True)
        for step in telling.broken:
            click.echo(f"  {step.who} {step.what}: {step.notes[-1]}", err=True)
        sys.exit(FAILED)


async def _tell(telling: Telling, attach: Path | None, *, as_json: bool) -> None:
    if attach is not None:
        await Story(read_participants(attach, os.environ), telling, here=False).tell()
        return
    began = time.perf_counter()
    async with sandbox(len(COMPANIES), credentials=True) as box:
        if not as_json:
            for member in box.members.values():
                click.echo(f"{member.participant.title:34} {member.participant.bpn}  {member.participant.did}")
            took_s, issuer = time.perf_counter() - began, box.authority.did if box.authority else "nobody"
            click.echo(f"{len(box.members)} nodes are ready after {took_s:.1f} s, with credentials of {issuer}\n")
        await Story(box.participants, telling, here=True, authority=box.authority).tell()


class _Narrator:
    """Prints each step as it ends: colours at a terminal, plain text elsewhere."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, step: Step) -> None:
        self._count += 1
        mark = click.style("ok", fg="green") if step.ok else click.style("NO", fg="red", bold=True)
        sentence = f"{click.style(step.who, bold=True)} {step.what}"
        whom = click.style(f"  [{step.whom}]", fg="cyan") if step.whom else ""
        click.echo(f"{self._count:2} {mark} {sentence}{whom}  {click.style(f'{step.took_ms:.0f} ms', dim=True)}")
        for note in step.notes:
            click.echo(f"{_INDENT}{note}")
