"""`connector onboard`: take many companies into a data space, and write down who is ready."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from connector.cli.authority import DEFAULT_URL, KEY_VARIABLE, URL_VARIABLE
from connector.cli.connection import find_key
from connector.cli.terminal import Said, json_option, refusals, say
from connector.client.api import Api
from connector.observability import configure
from connector.protocol.errors import LocalError

if TYPE_CHECKING:
    from connector.onboarding.companies import Company, Onboarding, Row

SHEET_FILE: Final = "readiness.csv"


@click.command()
@click.argument("companies", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--authority", required=True, help="The DID of the authority, which issues the credentials.")
@click.option("--bdrs", default="", help="The root URL of the data space's BPN directory.")
@click.option(
    "--authority-url", envvar=URL_VARIABLE, default=DEFAULT_URL, show_default=True, help="Its operator's API."
)
@click.option(
    "--authority-key", help=f"The API key: env:NAME or file:PATH.  [default: what {KEY_VARIABLE} holds or names]"
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where the companies' folders are made.",
)
@click.option(
    "--sheet",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"The readiness sheet, CSV.  [default: {SHEET_FILE} in --dir]",
)
@click.option("--trust", type=click.Path(path_type=Path), help="PEM file with additional CAs to trust.")
@json_option
def onboard(
    companies: Path,
    authority: str,
    bdrs: str,
    authority_url: str,
    authority_key: str | None,
    folder: Path,
    sheet: Path | None,
    trust: Path | None,
    *,
    as_json: bool,
) -> None:
    """Make the COMPANIES of a CSV file members, give them nodes and credentials, and check each.

    The columns are name, bpn, url, and for a node on this machine port and management_port; a company without them runs
    its own node and gets an invitation. The exit code is 0 if everybody is ready or invited. Do it again whenever the
    sheet is to be brought up to date.
    """
    from connector.onboarding.companies import Onboarding, read_companies, write_sheet  # noqa: PLC0415 - as needed

    configure("error", "console")  # of the nodes that run for this
    with refusals(as_json=as_json):
        listed = read_companies(companies)
        into = Onboarding(authority, bdrs, folder, trust)
        rows = asyncio.run(_onboard(listed, into, authority_url, find_key(authority_key, KEY_VARIABLE)))
        written = sheet or folder / SHEET_FILE
        try:
            write_sheet(written, rows)
        except OSError as error:
            raise LocalError(f"{written} cannot be written: {error.strerror}") from error
    say(_said(rows, written), as_json=as_json)


async def _onboard(companies: "list[Company]", into: "Onboarding", url: str, key: str) -> "list[Row]":
    from connector.onboarding.companies import onboard as take_in  # noqa: PLC0415 - as needed

    async with Api(url, key) as operator:
        await operator.get("/members")  # nothing is begun if the authority cannot be reached
        return await take_in(companies, into, operator)


def _said(rows: "list[Row]", sheet: Path) -> Said:
    from connector.onboarding.companies import SHEET  # noqa: PLC0415 - as needed

    count = {state: sum(row.state == state for row in rows) for state in ("ready", "invited", "not ready")}
    cells = [row.cells() for row in rows]
    docs = [
        dict(zip(SHEET, line, strict=True)) | {"findings": [f.to_json() for f in row.findings]}
        for row, line in zip(rows, cells, strict=True)
    ]
    told = ", ".join(f"{number} {state}" for state, number in count.items() if number)
    columns = ("name", "bpn", "state", "valid until", "next step")
    places = [SHEET.index(name) for name in columns]
    table = [[line[place] for place in places] for line in cells]
    doc = {"companies": docs, "sheet": str(sheet)}
    return Said(doc, [f"{told}; the sheet is {sheet}"], columns, table, ok=not count["not ready"])
