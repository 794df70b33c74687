"""The authority's decisions without network: settings, register, places in status lists."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from connector.authority import issuing
from connector.authority.issuing import Asked, Chance, Office, digest, issue, take_request
from connector.authority.keys import Keys
from connector.authority.kinds import KINDS, supported
from connector.authority.model import Member, Request, Standing
from connector.authority.register import Register, Tx
from connector.authority.settings import Settings, load, parse
from connector.identity.dcp_messages import CredentialRequestMessage, RequestStatus
from connector.identity.keys import SigningKey
from connector.protocol.errors import Conflict, Invalid, LocalError, PeerError
from connector.storage.lock import InUse

NOW = 1_790_000_000_000
DAY = 86_400_000
BPN, DID = "BPNL0000000HOLDR", "did:web:holder.example"
AUTHORITY = "did:web:authority.example"


def written(**changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A good file, some members of its sections changed."""
    doc: dict[str, dict[str, Any]] = {
        "authority": {"did": AUTHORITY, "data": "/nowhere"},
        "public": {"url": "https://authority.example"},
        "management": {"key": "env:KEY"},
    }
    return {name: {**doc.get(name, {}), **changes.get(name, {})} for name in doc.keys() | changes.keys()}


def read(env: dict[str, str] | None = None, **changes: dict[str, Any]) -> Settings:
    return parse(written(**changes), {"KEY": "a good long key", **(env or {})})


def chance(*places: int, now: int = NOW) -> Chance:
    ids, picked = count(), iter(places)
    return Chance(now=now, ids=lambda: f"id-{next(ids)}", below=lambda _: next(picked))


MEMBER = Member(bpn=BPN, name="Holder", standing=Standing.MEMBER, since=NOW, did=DID)
CODE = "K7-code-of-an-invitation"
INVITED = Member(
    bpn=BPN, name="Holder", standing=Standing.INVITED, since=NOW, invitation=digest(CODE), invited_until=NOW + DAY
)


@pytest.fixture
def office() -> Office:
    settings = read()
    return Office(
        keys=Keys(SigningKey.generate(AUTHORITY)),
        supported=supported(settings.credentials, settings.profiles),
        terms=settings,
        validity=365 * DAY,
        issuer_url=settings.issuer_url,
        status_url=settings.status_url,
    )


@pytest.fixture
async def register() -> AsyncIterator[Register]:
    opened = await Register.open()
    yield opened
    await opened.close()


def asked(*ids: str, pid: str = "pid", code: str | None = None) -> Asked:
    return Asked(DID, CredentialRequestMessage(holder_pid=pid, credentials=ids or ("membership",)), code=code)


# --- settings


def test_four_settings_are_enough() -> None:
    settings = read()
    assert settings.credentials == tuple(KINDS)
    assert settings.profiles == ("vc11-sl2021/jwt",)
    assert settings.issuer_url == "https://authority.example/issuer"
    assert settings.status_url(7) == "https://authority.example/status/7"


def test_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / "authority.toml"
    file.write_text('[authority]\ndid = "did:web:a.example"\ndata = "x"\n[public]\nurl = "https://a.example"\n')
    env = {"AUTHORITY_MANAGEMENT_KEY": "env:KEY", "KEY": "a good long key", "AUTHORITY_ISSUING_VALIDITY_DAYS": "30"}
    assert load(file, env).validity_days == 30
    assert load(file, {**env, "CONNECTOR_ISSUING_VALIDITY_DAYS": "60"}).validity_days == 30


@pytest.mark.parametrize(
    ("section", "values", "pointer"),
    [
        ("authority", {"did": "did:example:1"}, "/authority/did"),
        ("authority", {"dat": "x"}, "/authority/dat"),
        ("public", {"url": "http://authority.example"}, "/public/url"),
        ("public", {"url": "https://authority.example/"}, "/public/url"),
        ("public", {"certificate": "x"}, "/public/certificate"),
        ("management", {"key": "bare"}, "/management/key"),
        ("management", {"key": "env:SHORT"}, "/management/key"),
        ("issuing", {"credentials": []}, "/issuing/credentials"),
        ("issuing", {"credentials": ["GoldCard"]}, "/issuing/credentials"),
        ("issuing", {"credentials": ["BpnCredential", "BpnCredential"]}, "/issuing/credentials"),
        ("issuing", {"profiles": ["vc10-sl2021/jwt"]}, "/issuing/profiles"),
        ("issuing", {"validity_days": 0}, "/issuing/validity_days"),
        ("issuing", {"status_ttl": -1}, "/issuing/status_ttl"),
    ],
)
def test_a_setting_that_is_wrong_is_named(section: str, values: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as caught:
        read({"SHORT": "short"}, **{section: values})
    assert caught.value.pointer == pointer


def test_the_operators_key_is_not_shown() -> None:
    assert "a good long key" not in repr(read())


# --- members


@pytest.mark.parametrize(
    "members",
    [
        {"bpn": "BPNL1"},
        {"name": ""},
        {"name": "x" * 201},
        {"did": None},
        {"did": "did:example:1"},
        {"standing": Standing.INVITED},
    ],
)
def test_a_member_that_cannot_be_is_refused(members: dict[str, Any]) -> None:
    good = {"bpn": BPN, "name": "Holder", "standing": Standing.MEMBER, "since": NOW, "did": DID}
    with pytest.raises(Invalid):
        Member(**{**good, **members})


def test_ids_of_further_profiles_name_their_data_model() -> None:
    found = supported(("MembershipCredential",), ("vc20-bssl/jwt", "vc11-sl2021/jwt"))
    assert {i: s.profile.value for i, s in found.items()} == {
        "membership": "vc20-bssl/jwt",
        "membership-vc11": "vc11-sl2021/jwt",
    }


# --- decisions


async def test_a_place_that_is_taken_is_not_given_twice(register: Register, office: Office) -> None:
    places = chance(7, 7, 7, 9)

    def make(tx: Tx) -> list[int]:
        return [issue(tx, MEMBER, office.supported["membership"], office, places).index for _ in range(2)]

    assert await register.run(make) == [7, 9]


async def test_a_list_that_is_full_is_followed_by_another(
    register: Register, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuing, "FILL", 2)

    places = chance(*range(5))

    def make(tx: Tx) -> list[int]:
        return [issue(tx, MEMBER, office.supported["membership"], office, places).list_number for _ in range(5)]

    assert await register.run(make) == [1, 1, 2, 2, 3]


async def test_a_refused_request_leaves_nothing(register: Register, office: Office) -> None:
    def refused(tx: Tx) -> Request:
        tx.put_member(MEMBER)
        return take_request(tx, asked("membership", "gold-card"), office, chance(1))

    with pytest.raises(PeerError):
        await register.run(refused)
    assert await register.run(lambda tx: (tx.members(), tx.requests(), tx.deliveries(waiting=True))) == ([], [], [])


async def test_decision_credentials_and_delivery_are_one_commit(register: Register, office: Office) -> None:
    await register.run(lambda tx: tx.put_member(MEMBER))
    decided = await register.run(lambda tx: take_request(tx, asked("membership", "bpn"), office, chance(1, 2)))
    issued, waiting = await register.run(lambda tx: (tx.credentials(bpn=BPN), tx.deliveries(waiting=True)))
    assert decided.status is RequestStatus.ISSUED
    assert [i.type for i in issued] == ["MembershipCredential", "BpnCredential"]
    assert [(d.holder, d.path, d.due) for d in waiting] == [(DID, "/credentials", NOW)]
    assert all(i.jwt.encode() in waiting[0].body for i in issued)


async def test_an_id_that_is_named_twice_is_issued_once(register: Register, office: Office) -> None:
    await register.run(lambda tx: tx.put_member(MEMBER))
    await register.run(lambda tx: take_request(tx, asked("bpn", "bpn"), office, chance(1, 2)))
    assert len(await register.run(lambda tx: tx.credentials())) == 1


async def test_a_request_is_known_for_ninety_days(register: Register, office: Office) -> None:
    await register.run(lambda tx: tx.put_member(MEMBER))

    numbers = count()

    async def ask(pid: str, now: int) -> Request:
        at = Chance(now=now, ids=lambda: f"id-{next(numbers)}", below=lambda _: next(numbers))
        return await register.run(lambda tx: take_request(tx, asked(pid=pid), office, at))

    first = await ask("first", NOW)
    assert await ask("first", NOW + 90 * DAY) == first, "a repeat is decided once"
    await ask("second", NOW + 90 * DAY)
    assert await register.run(lambda tx: tx.request(first.issuer_pid)) == first
    third = await ask("third", NOW + 90 * DAY + 1)
    known = await register.run(lambda tx: tx.requests())
    assert [request.holder_pid for request in known] == ["third", "second"]
    assert third in known
    issued = await register.run(lambda tx: tx.credentials())
    assert first.issuer_pid in {each.issuer_pid for each in issued}, "what was issued stays"


async def test_an_invitation_ends(register: Register, office: Office) -> None:
    await register.run(lambda tx: tx.put_member(INVITED))
    with pytest.raises(PeerError) as caught:
        await register.run(lambda tx: take_request(tx, asked(code=CODE), office, chance(1, now=NOW + DAY)))
    assert caught.value.status == 403
    await register.run(lambda tx: take_request(tx, asked(code=CODE), office, chance(1, now=NOW + DAY - 1)))
    (member,) = await register.run(lambda tx: tx.members())
    assert (member.standing, member.did, member.invitation) == (Standing.MEMBER, DID, None)


async def test_the_code_of_an_invitation_is_not_kept(tmp_path: Path) -> None:
    register = await Register.open(tmp_path / "register.sqlite")
    await register.run(lambda tx: tx.put_member(INVITED))
    await register.close()
    kept = (tmp_path / "register.sqlite").read_bytes()
    assert (digest(CODE).encode() in kept, CODE.encode() in kept) == (True, False)


async def test_two_members_cannot_have_one_did(register: Register) -> None:
    other = Member(bpn="BPNL0000000OTHER", name="Other", standing=Standing.MEMBER, since=NOW, did=DID)
    await register.run(lambda tx: tx.put_member(MEMBER))
    with pytest.raises(Conflict):
        await register.run(lambda tx: tx.put_member(other))
    assert await register.run(lambda tx: tx.members()) == [MEMBER]


# --- the register


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "register.sqlite"


async def test_what_was_committed_is_there_after_a_restart(file: Path, office: Office) -> None:
    register = await Register.open(file)
    await register.run(lambda tx: tx.put_member(MEMBER))
    await register.run(lambda tx: take_request(tx, asked(), office, chance(1)))
    before = await register.run(lambda tx: (tx.members(), tx.requests(), tx.credentials(), tx.deliveries(waiting=True)))
    await register.close()
    register = await Register.open(file)
    after = await register.run(lambda tx: (tx.members(), tx.requests(), tx.credentials(), tx.deliveries(waiting=True)))
    await register.close()
    assert before == after


async def test_a_second_process_is_kept_away(file: Path) -> None:
    register = await Register.open(file)
    with pytest.raises(InUse):
        await Register.open(file)
    await register.close()
    await (await Register.open(file)).close()


def test_only_its_owner_may_read_the_register(file: Path) -> None:
    async def make() -> None:
        await (await Register.open(file)).close()

    asyncio.run(make())
    assert file.stat().st_mode & 0o077 == 0


async def test_a_register_of_the_first_version_is_brought_up(file: Path) -> None:
    register = await Register.open(file)
    await register.run(lambda tx: tx.put_member(MEMBER))
    await register.close()
    with closing(sqlite3.connect(file)) as database:
        added = database.execute("SELECT type, name FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
        for kind, name in added:
            if name in {"delivery_by_due", "delivery_to", "request_by_age", "former_key", "part_key"}:
                database.execute(f"DROP {kind} {name}")
        database.execute("PRAGMA user_version=1")
        database.commit()
    register = await Register.open(file)
    assert await register.run(lambda tx: (tx.members(), tx.former_keys(NOW))) == ([MEMBER], [])
    await register.close()
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT type, name FROM sqlite_schema WHERE sql IS NOT NULL").fetchall() == added


async def test_a_register_of_a_newer_version_is_left_alone(file: Path) -> None:
    database = sqlite3.connect(file)
    database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(LocalError, match="newer version"):
        await Register.open(file)


def test_a_file_that_is_no_database_is_named(file: Path) -> None:
    file.write_bytes(b"this is no database" * 100)
    with pytest.raises(LocalError, match=r"register\.sqlite"):
        asyncio.run(Register.open(file))
