"""`connector authority`: run the authority of a data space, and keep its register."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from connector.cli.connection import find_key
from connector.cli.serve import fast_loop, take_open_files
from connector.cli.terminal import Said, json_option, refusals, say
from connector.client.api import Api, path

DEFAULT_URL: Final = "http://127.0.0.1:9101/management"
URL_VARIABLE: Final = "AUTHORITY_URL"
KEY_VARIABLE: Final = "AUTHORITY_API_KEY"


@click.group()
def authority() -> None:
    """The authority of a data space: members, their credentials, and what was taken back."""


@authority.command("serve")
@click.option(
    "--config",
    "file",
    envvar="AUTHORITY_CONFIG",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The authority's TOML file; the environment (AUTHORITY_<SECTION>_<NAME>) wins.",
)
@click.option(
    "--parent-fd",
    type=int,
    help="For programs that start it: a stream socket that gets one JSON line when it is ready; "
    "it ends when the other side closes it.",
)
@json_option
def serve_authority(file: Path, parent_fd: int | None, *, as_json: bool) -> None:
    """Run an authority until SIGTERM or SIGINT.

    The log goes to standard error. With --json, one line on standard output tells when it is ready.
    """
    from connector.authority import settings  # noqa: PLC0415 - everything an authority needs, for this command only

    with refusals(as_json=as_json):
        read = settings.load(file)
        take_open_files()
        with asyncio.Runner(loop_factory=fast_loop()) as runner:
            runner.run(_serve(read, parent_fd, as_json=as_json))


async def _serve(read: Any, parent_fd: int | None, *, as_json: bool) -> None:  # noqa: ANN401 - Settings, imported late
    from connector.authority import program  # noqa: PLC0415 - as above
    from connector.sandbox.link import Ready, report  # noqa: PLC0415 - as above

    following: list[asyncio.Task[None]] = []

    async def announce(running: program.RunningAuthority) -> None:
        ready = Ready(management=running.management_url, dsp="", public=read.url)
        if as_json:
            click.echo(ready.to_line())
        if parent_fd is not None:
            following.append(await report(parent_fd, ready))

    try:
        await program.run(read, announce)
    finally:
        for task in following:
            task.cancel()


@authority.command("settings")
@json_option
def list_settings(*, as_json: bool) -> None:
    """List every setting. The environment variable is AUTHORITY_ and the name in capitals, _ for the dot."""
    from connector.authority.settings import Settings  # noqa: PLC0415 - for this command only
    from connector.settings import table_of  # noqa: PLC0415 - the same

    rows = table_of(Settings)
    doc = [{"key": key, "default": default, "help": text} for key, default, text in rows]
    say(Said(doc, (), ("setting", "default", "what it does"), rows), as_json=as_json)


def on_authority(function: Callable[..., Awaitable[Said]]) -> Callable[..., None]:
    """Give a command its options for the connection, an open session as first argument, and its exit code."""

    @click.option("--url", envvar=URL_VARIABLE, default=DEFAULT_URL, show_default=True, help="The operator's API.")
    @click.option("--key", help=f"Its API key: env:NAME or file:PATH.  [default: what {KEY_VARIABLE} holds or names]")
    @json_option
    @functools.wraps(function)
    def command(*, url: str, key: str | None, as_json: bool, **arguments: object) -> None:
        async def run() -> Said:
            async with Api(url, api_key) as api:
                return await function(api, **arguments)

        with refusals(as_json=as_json):
            api_key = find_key(key, KEY_VARIABLE)
            said = asyncio.run(run())
        say(said, as_json=as_json)

    return command


def dismantler_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a DismantlerCredential has to say."""
    activity = click.option("--activity", help="For dismantlers: the kind of activity, vehicleDismantle for instance.")
    brands = click.option("--brand", "brands", multiple=True, help="For dismantlers: a vehicle brand; repeatable.")
    return activity(brands(function))


def attributes_of(activity: str | None, brands: Sequence[str]) -> dict[str, Any]:
    """The attributes of a dismantler as the API takes them; nothing for others."""
    if not activity and not brands:
        return {}
    if not activity or not brands:
        raise click.UsageError("a dismantler has an --activity and at least one --brand")
    values = {"activityType": activity, "allowedVehicleBrands": list(brands)}
    return {"attributes": {"DismantlerCredential": values}}


@authority.command("invite")
@click.argument("bpn")
@click.option("--name", help="The company's name.")
@dismantler_options
@on_authority
async def invite(api: Api, bpn: str, name: str | None, activity: str | None, brands: tuple[str, ...]) -> Said:
    """Put a company into the register and print its invitation, a code that it gives to `connector join`."""
    member = await api.post("/members", {"bpn": bpn, "name": name, **attributes_of(activity, brands)})
    code = member.get("invitation")
    if code is None:
        return Said(member, [f"{bpn} is a member already, as {member['did']}"])
    lines = [
        f"{bpn} is invited until {when(member['invitedUntil'])}. The code is shown this once:",
        code,
    ]
    return Said(member, lines)


@authority.command("add")
@click.argument("bpn")
@click.argument("did")
@click.option("--name", help="The company's name.")
@dismantler_options
@on_authority
async def add(api: Api, bpn: str, did: str, name: str | None, activity: str | None, brands: tuple[str, ...]) -> Said:
    """Make a company whose DID is known a member, without an invitation."""
    doc = {"bpn": bpn, "did": did, "name": name, **attributes_of(activity, brands)}
    member = await api.post("/members", doc)
    return Said(member, [f"{bpn} is a member, as {member['did']}"])


@authority.command("list")
@click.option("--credentials", is_flag=True, help="List credentials instead of members.")
@click.option("--requests", is_flag=True, help="List the latest requests instead of members.")
@click.option("--deliveries", is_flag=True, help="List what has not reached a wallet yet.")
@click.option("--bpn", help="With --credentials: those of one member.")
@on_authority
async def list_register(api: Api, *, credentials: bool, requests: bool, deliveries: bool, bpn: str | None) -> Said:
    """List the members, or what else is in the register."""
    if credentials:
        rows = await api.get("/credentials" + (f"?bpn={bpn}" if bpn else ""))
        return _rows(rows, ("id", "bpn", "type", "profile", "state", "expires"))
    if requests:
        return _rows(await api.get("/requests"), ("issuerPid", "holder", "credentials", "status", "received"))
    if deliveries:
        return _rows(await api.get("/deliveries"), ("id", "holder", "path", "attempts", "due", "failure"))
    return _rows(await api.get("/members"), ("bpn", "name", "standing", "did", "since"))


def _rows(docs: Sequence[dict[str, Any]], columns: Sequence[str]) -> Said:
    return Said(list(docs), (), columns, [[_cell(name, doc[name]) for name in columns] for doc in docs])


def _cell(name: str, value: object) -> object:
    if value is None:
        return ""
    if name in {"expires", "since", "received", "due"} and isinstance(value, int):
        return when(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def when(ms: int) -> str:
    """A time for people, UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


@authority.command("rotate-key")
@on_authority
async def rotate_key(api: Api) -> Said:
    """Sign with a new key from now on. What was issued before stays good: its key stays in the DID document.

    The key file is replaced; of the old key only the public half is kept, until the last credential by it has ended.
    """
    keys = await api.post("/keys")
    lines = [f"it signs with {keys['kid']}", *(f"published besides  {kid}" for kid in keys["formerKids"])]
    return Said(keys, lines)


@authority.command("offer")
@click.argument("bpn")
@click.option("--credential", "credentials", multiple=True, help="Id of a credential object.  [default: all]")
@on_authority
async def offer(api: Api, bpn: str, credentials: tuple[str, ...]) -> Said:
    """Offer a member its credentials: its wallet then asks for them."""
    member = await api.post(path("members", bpn, "offers"), {"credentials": list(credentials)})
    return Said(member, [f"{member['did']} is told what it may ask for"])


@authority.command("issue")
@click.argument("bpn")
@click.argument("credentials", nargs=-1, required=True)
@on_authority
async def issue(api: Api, bpn: str, credentials: tuple[str, ...]) -> Said:
    """Make CREDENTIALS (ids of credential objects) for a member and print them, to be handed over by hand.

    A wallet that speaks DCP asks for its credentials itself; this is for one that does not.
    """
    issued = await api.post(path("members", bpn, "credentials"), {"credentials": list(credentials)})
    lines = [line for each in issued for line in (f"{each['type']}  {each['id']}", each["jwt"])]
    return Said(issued, lines)


@authority.command("revoke")
@click.argument("credential", required=False)
@click.option("--member", "bpn", help="Instead: end this company's membership; all its credentials are revoked.")
@on_authority
async def revoke(api: Api, credential: str | None, bpn: str | None) -> Said:
    """Take back a CREDENTIAL (its id), or all of a member with its membership."""
    if (credential is None) is (bpn is None):
        raise click.UsageError("name a credential, or a member with --member")
    if credential is not None:
        taken = await api.post(path("credentials", credential, "revoke"))
        return Said(taken, [f"{taken['type']} of {taken['bpn']} is revoked"])
    revoked = (await api.call("DELETE", path("members", str(bpn)))).body
    lines = [f"the membership of {bpn} has ended", *(f"revoked  {each['type']}  {each['id']}" for each in revoked)]
    return Said(revoked, lines)
