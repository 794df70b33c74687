"""Many companies at once: a table in, members with nodes and credentials out, and a sheet that says who is ready.

A company with a port gets a node on this machine, whose folder is made here (hosting for small companies); one without
runs its own and gets an invitation. Doing it again changes nothing that is done: it is how the sheet is brought up to
date.
"""

import asyncio
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from connector.client.api import Api
from connector.client.credentials import Credential
from connector.identity.directory import BPN
from connector.onboarding.doctor import Patient, diagnose, healthy
from connector.onboarding.findings import Finding, Verdict
from connector.onboarding.folder import Plan, prepare, write_atomically
from connector.onboarding.joining import WAIT_S, join, reached
from connector.protocol.errors import ConnectorError, Invalid

AT_ONCE: Final = 4
MAX_COMPANIES: Final = 1000
INVITATION_FILE: Final = "invitation"
COLUMNS: Final = ("name", "bpn", "url")
SHEET: Final = ("name", "bpn", "did", "state", "credentials", "valid until", "what is wrong", "next step")
_PORTS: Final = range(1, 1 << 16)
_AGAIN: Final = "mend what is wrong, then take in the same companies again: nothing is done twice"


@dataclass(frozen=True, slots=True)
class Company:
    """A line of the table. `port` and `management_port`: where its node listens on this machine; 0: not here."""

    name: str
    bpn: str
    url: str
    port: int = 0
    management_port: int = 0

    @property
    def folder(self) -> str:
        """The name of its folder: its number, which is unique and plain."""
        return self.bpn


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the sheet. `state`: ready, invited, or not ready."""

    company: Company
    did: str
    state: str
    held: Sequence[Credential] = ()
    findings: Sequence[Finding] = ()
    next_step: str = ""

    def cells(self) -> list[str]:
        """As the sheet has it."""
        bad = [f for f in self.findings if f.verdict in (Verdict.BAD, Verdict.WARNING)]
        ends = [each.valid_until for each in self.held if each.valid_until is not None]
        until = datetime.fromtimestamp(min(ends) / 1000, UTC).strftime("%Y-%m-%d") if ends else ""
        wrong = "; ".join(f"{f.check}: {f.what}" for f in bad)
        step = self.next_step or next((f.mend for f in bad if f.mend), "")
        kinds = " ".join(name for each in self.held for name in each.types)
        return [self.company.name, self.company.bpn, self.did, self.state, kinds, until, wrong, step]


@dataclass(frozen=True, slots=True)
class Onboarding:
    """Where companies are taken in: the authority (its DID, its directory's root), and the folder for their nodes.

    wait_s: how long the credentials of each may take.
    """

    authority: str
    bdrs: str
    folder: Path
    trust: Path | None = None
    wait_s: float = WAIT_S


def read_companies(file: Path) -> list[Company]:
    """Read a table: CSV with a head; the columns name, bpn, url, and perhaps port and management_port.

    Raise Invalid with the line that is wrong.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = list(csv.DictReader(opened))
    except OSError as error:
        raise Invalid(f"cannot read {file}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise Invalid(f"{file} is not CSV in UTF-8") from error
    if not rows or len(rows) > MAX_COMPANIES:
        raise Invalid(f"{file} has {len(rows)} companies; 1 to {MAX_COMPANIES} are expected")
    companies = [_company(row, f"/{number}") for number, row in enumerate(rows, 2)]
    seen: dict[object, int] = {}
    for number, company in enumerate(companies, 2):
        for value in (company.bpn, company.url, company.port, company.management_port):
            if value and seen.setdefault(value, number) != number:
                raise Invalid(f"{value} stands in line {seen[value]} as well", f"/{number}", value)
    return companies


def _company(row: dict[str, Any], place: str) -> Company:
    cells = {name: (row.get(name) or "").strip() for name in (*COLUMNS, "port", "management_port")}
    for name in COLUMNS:
        if not cells[name]:
            raise Invalid(f"the line has no {name}; the columns are {', '.join(COLUMNS)}", place)
    if not BPN.fullmatch(cells["bpn"]):
        raise Invalid("a BPN is BPNL, BPNS or BPNA and 12 digits or capital letters", f"{place}/bpn", cells["bpn"])
    port, management = (_port(cells[name], f"{place}/{name}") for name in ("port", "management_port"))
    if bool(port) is not bool(management):
        raise Invalid("port and management_port go together", f"{place}/port")
    return Company(cells["name"], cells["bpn"], cells["url"].rstrip("/"), port, management)


def _port(text: str, place: str) -> int:
    if not text:
        return 0
    if not text.isdecimal() or int(text) not in _PORTS:
        raise Invalid(f"a port is a number up to {_PORTS[-1]}", place, text)
    return int(text)


async def onboard(companies: Sequence[Company], onboarding: Onboarding, operator: Api) -> list[Row]:
    """Take all of them in, some at a time. What goes wrong with one stands in its row and stops nobody else."""
    few = asyncio.Semaphore(AT_ONCE)

    async def one(company: Company) -> Row:
        async with few:
            try:
                return await _take_in(company, onboarding, operator)
            except ConnectorError as error:
                wrong = Finding("taking in", Verdict.BAD, str(error), _AGAIN)
                return Row(company, "", "not ready", findings=[wrong])

    return list(await asyncio.gather(*map(one, companies)))


async def _take_in(company: Company, onboarding: Onboarding, operator: Api) -> Row:
    plan = Plan(
        bpn=company.bpn,
        url=company.url,
        authority=onboarding.authority,
        bdrs=onboarding.bdrs,
        port=company.port,
        management_port=company.management_port,
        trust=onboarding.trust,
    )
    folder = onboarding.folder.absolute() / company.folder
    invitation = await _invitation(company, folder, operator)
    if not company.port:
        step = f"send {folder / INVITATION_FILE} to {company.name}, who then runs `connector join`"
        return Row(company, plan.did, "invited", next_step=step) if invitation else Row(company, plan.did, "ready")
    config = await asyncio.to_thread(prepare, plan, folder)
    async with reached(config) as node:
        credentials = await join(node, onboarding.authority, invitation, timeout_s=onboarding.wait_s)
        findings = await diagnose(Patient.of(config, node.api.url))
    well = healthy(findings)
    step = f"connector serve --config {folder / 'node.toml'}" if well else ""
    return Row(company, config.did, "ready" if well else "not ready", credentials, findings, step)


async def _invitation(company: Company, folder: Path, operator: Api) -> str | None:
    """The code with which a company that is no member yet becomes one; kept in its folder until then."""
    file = folder / INVITATION_FILE
    known = {row["bpn"]: row for row in await operator.get("/members")}.get(company.bpn)
    if known is not None and known["standing"] == "MEMBER":
        await asyncio.to_thread(file.unlink, missing_ok=True)
        return None
    if known is not None and known["standing"] == "INVITED" and await asyncio.to_thread(file.exists):
        return (await asyncio.to_thread(file.read_text, encoding="utf-8")).strip()
    code = str((await operator.post("/members", {"bpn": company.bpn, "name": company.name}))["invitation"])
    await asyncio.to_thread(_keep, file, code)
    return code


def _keep(file: Path, code: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, code)


def write_sheet(file: Path, rows: Sequence[Row]) -> None:
    """Write the sheet as CSV. Raise OSError."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(SHEET)
        writer.writerows([_plain(cell) for cell in row.cells()] for row in rows)


def _plain(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell
