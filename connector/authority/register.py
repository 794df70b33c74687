"""The register: one SQLite file, one connection, one transaction for each request.

A transaction is a plain function that runs in the register's own thread (`await register.run(fn)`); what it has written
is on the disk before anybody hears of it, and what is to be sent stands in it as a delivery, so that a restart loses
neither a decision nor its message. The lock file keeps a second process away, as with a node's database.
"""
# ruff: noqa: S608 - the texts are put together from the constants below; every value is a parameter

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Final, Self, TypeVar

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from connector.authority.model import Delivery, Issued, Member, PartKey, Request, Standing
from connector.identity.credentials import Profile
from connector.identity.dcp_messages import RequestStatus
from connector.protocol.errors import Conflict, LocalError
from connector.storage.connection import Connection, Row, Sql, Unavailable
from connector.storage.lock import LockFile
from connector.storage.sqlite import FAULTS, SETTINGS, WAL

MOST_SHOWN: Final = 500
"""Requests or deliveries in one list."""
_FIRST: Final = (
    """CREATE TABLE member (
        bpn TEXT PRIMARY KEY, name TEXT NOT NULL, standing TEXT NOT NULL, since INTEGER NOT NULL, did TEXT UNIQUE,
        attributes TEXT NOT NULL, invitation TEXT UNIQUE, invited_until INTEGER NOT NULL) STRICT""",
    """CREATE TABLE request (
        issuer_pid TEXT PRIMARY KEY, holder TEXT NOT NULL, holder_pid TEXT NOT NULL, wanted TEXT NOT NULL,
        status TEXT NOT NULL, received INTEGER NOT NULL, reason TEXT, UNIQUE (holder, holder_pid)) STRICT""",
    "CREATE TABLE list (number INTEGER PRIMARY KEY, profile TEXT NOT NULL) STRICT",
    """CREATE TABLE credential (
        id TEXT PRIMARY KEY, bpn TEXT NOT NULL, holder TEXT NOT NULL, type TEXT NOT NULL, profile TEXT NOT NULL,
        list_number INTEGER NOT NULL REFERENCES list, place INTEGER NOT NULL, issued INTEGER NOT NULL,
        expires INTEGER NOT NULL, jwt TEXT NOT NULL, issuer_pid TEXT, revoked INTEGER,
        UNIQUE (list_number, place)) STRICT""",
    "CREATE INDEX credential_of ON credential (bpn)",
    "CREATE INDEX credential_for ON credential (issuer_pid)",
    """CREATE TABLE delivery (
        id TEXT PRIMARY KEY, holder TEXT NOT NULL, path TEXT NOT NULL, body BLOB NOT NULL, due INTEGER, token TEXT,
        attempts INTEGER NOT NULL, failure TEXT) STRICT""",
)
_SECOND: Final = (
    "CREATE INDEX delivery_by_due ON delivery (due, holder)",
    "CREATE INDEX delivery_to ON delivery (holder)",
    "CREATE INDEX request_by_age ON request (received)",
    "CREATE TABLE former_key (kid TEXT PRIMARY KEY, jwk TEXT NOT NULL, until INTEGER NOT NULL) STRICT",
)
_THIRD: Final = (
    """CREATE TABLE part_key (
        id TEXT PRIMARY KEY, bpn TEXT NOT NULL, type TEXT NOT NULL, key TEXT NOT NULL,
        UNIQUE (bpn, type, key)) STRICT""",
    "CREATE INDEX part_key_by_key ON part_key (type, key)",
)
_STEPS: Final = (_FIRST, _SECOND, _THIRD)
"""What brings the tables from each version to the next; `user_version` says how many were taken."""
T = TypeVar("T")
_SQL: Final = Sql(SQLiteDialect_pysqlite(paramstyle="named"))


class Tx:
    """One transaction. What a caller is told is as the database has it now."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def members(self) -> list[Member]:
        """All of them, by BPN."""
        return [_member(row) for row in self._connection.rows(f"SELECT {_MEMBER} FROM member ORDER BY bpn")]

    def member(self, *, bpn: str | None = None, did: str | None = None, invitation: str | None = None) -> Member | None:
        """The one with this BPN, this DID, or this invitation (its digest)."""
        where = "bpn = :bpn OR did = :did OR invitation = :invitation"
        params = {"bpn": bpn, "did": did, "invitation": invitation}
        row = self._connection.row(f"SELECT {_MEMBER} FROM member WHERE {where}", params)
        return _member(row) if row else None

    def put_member(self, member: Member) -> None:
        """Add or replace. Raise Conflict if the DID is another member's."""
        other = self.member(did=member.did) if member.did else None
        if other is not None and other.bpn != member.bpn:
            raise Conflict(f"{member.did} is the DID of {other.bpn}", "/did", member.did)
        params = {
            "bpn": member.bpn,
            "name": member.name,
            "standing": member.standing.value,
            "since": member.since,
            "did": member.did,
            "attributes": json.dumps(member.attributes),
            "invitation": member.invitation,
            "invited_until": member.invited_until,
        }
        self._connection.change(f"REPLACE INTO member ({_MEMBER}) VALUES ({_values(_MEMBER)})", params)

    def request(self, issuer_pid: str) -> Request | None:
        """A request by our id."""
        row = self._connection.row(f"SELECT {_REQUEST} FROM request WHERE issuer_pid = :pid", {"pid": issuer_pid})
        return _request(row) if row else None

    def request_of(self, holder: str, holder_pid: str) -> Request | None:
        """A request by its holder's id."""
        where = "holder = :holder AND holder_pid = :pid"
        params = {"holder": holder, "pid": holder_pid}
        row = self._connection.row(f"SELECT {_REQUEST} FROM request WHERE {where}", params)
        return _request(row) if row else None

    def requests(self, *, limit: int = MOST_SHOWN) -> list[Request]:
        """The latest."""
        order = "ORDER BY received DESC, issuer_pid LIMIT :limit"
        return [_request(r) for r in self._connection.rows(f"SELECT {_REQUEST} FROM request {order}", {"limit": limit})]

    def requests_since(self, holder: str, since: int) -> int:
        """How many requests a holder has made since (ms)."""
        text = "SELECT count(*) FROM request WHERE holder = :holder AND received >= :since"
        row = self._connection.row(text, {"holder": holder, "since": since})
        return int(row[0]) if row else 0

    def add_request(self, request: Request) -> None:
        """A new one. Raise Conflict if its holder has used the id before."""
        params = {
            "issuer_pid": request.issuer_pid,
            "holder": request.holder,
            "holder_pid": request.holder_pid,
            "wanted": json.dumps(request.wanted),
            "status": request.status.value,
            "received": request.received,
            "reason": request.reason,
        }
        self._connection.change(f"INSERT INTO request ({_REQUEST}) VALUES ({_values(_REQUEST)})", params)

    def forget_requests(self, before: int) -> None:
        """Forget the requests that came before this time (ms); what was issued for them stays."""
        self._connection.change("DELETE FROM request WHERE received < :before", {"before": before})

    def credentials(self, *, bpn: str | None = None, issuer_pid: str | None = None) -> list[Issued]:
        """All of them, a member's, or a request's; the latest first."""
        where = "(:bpn IS NULL OR bpn = :bpn) AND (:pid IS NULL OR issuer_pid = :pid)"
        text = f"SELECT {_CREDENTIAL} FROM credential WHERE {where} ORDER BY issued DESC, rowid"
        return [_issued(row) for row in self._connection.rows(text, {"bpn": bpn, "pid": issuer_pid})]

    def credential(self, identifier: str) -> Issued | None:
        """One by its id."""
        row = self._connection.row(f"SELECT {_CREDENTIAL} FROM credential WHERE id = :id", {"id": identifier})
        return _issued(row) if row else None

    def add_credential(self, issued: Issued) -> None:
        """A new one. Raise Conflict if its place in the list is taken."""
        params = {
            "id": issued.id,
            "bpn": issued.bpn,
            "holder": issued.holder,
            "type": issued.type,
            "profile": issued.profile.value,
            "list_number": issued.list_number,
            "place": issued.index,
            "issued": issued.issued,
            "expires": issued.expires,
            "jwt": issued.jwt,
            "issuer_pid": issued.issuer_pid,
            "revoked": issued.revoked,
        }
        self._connection.change(f"INSERT INTO credential ({_CREDENTIAL}) VALUES ({_values(_CREDENTIAL)})", params)

    def revoke(self, identifier: str, now: int) -> bool:
        """Take a credential back; False if that was done before."""
        text = "UPDATE credential SET revoked = :now WHERE id = :id AND revoked IS NULL"
        return bool(self._connection.change(text, {"id": identifier, "now": now}))

    def open_list(self, profile: Profile, most: int) -> int:
        """The number of a list of this profile with fewer than `most` credentials; a new one if there is none."""
        text = (
            "SELECT number FROM list WHERE profile = :profile AND"
            " (SELECT count(*) FROM credential WHERE list_number = number) < :most ORDER BY number LIMIT 1"
        )
        row = self._connection.row(text, {"profile": profile.value, "most": most})
        if row is None:
            added = self._connection.change_and_read(
                "INSERT INTO list (profile) VALUES (:profile) RETURNING number", {"profile": profile.value}
            )
            row = added[0]
        return int(row[0])

    def taken(self, number: int, index: int) -> bool:
        """Whether a place in a list belongs to a credential."""
        text = "SELECT 1 FROM credential WHERE list_number = :number AND place = :place"
        return self._connection.row(text, {"number": number, "place": index}) is not None

    def profile_of(self, number: int) -> Profile | None:
        """The profile of a list, None if there is no such list."""
        row = self._connection.row("SELECT profile FROM list WHERE number = :number", {"number": number})
        return Profile(row[0]) if row else None

    def revoked_places(self, number: int) -> list[int]:
        """The places in a list whose credentials were taken back."""
        text = "SELECT place FROM credential WHERE list_number = :number AND revoked IS NOT NULL"
        return [int(row[0]) for row in self._connection.rows(text, {"number": number})]

    def deliveries(self, *, waiting: bool, limit: int = MOST_SHOWN) -> list[Delivery]:
        """Those that wait for their time, the earliest first, or those that were given up."""
        where = "due IS NOT NULL ORDER BY due, id" if waiting else "due IS NULL ORDER BY id"
        text = f"SELECT {_DELIVERY} FROM delivery WHERE {where} LIMIT :limit"
        return [_delivery(row) for row in self._connection.rows(text, {"limit": limit})]

    def due_delivery(self, now: int, *, busy: Collection[str], full: Collection[str]) -> Delivery | None:
        """The delivery that is due longest: not to the holders `busy`, nor to any holder at the hosts `full`.

        A host stands here as the beginning of the DIDs at it: `did:web:host`.
        """
        text = (
            f"SELECT {_DELIVERY} FROM delivery WHERE due <= :now"
            " AND holder NOT IN (SELECT value FROM json_each(:busy)) AND NOT EXISTS (SELECT 1 FROM json_each(:full)"
            " WHERE substr(holder || ':', 1, length(value) + 1) = value || ':') ORDER BY due, holder LIMIT 1"
        )
        row = self._connection.row(text, {"now": now, "busy": json.dumps([*busy]), "full": json.dumps([*full])})
        return _delivery(row) if row else None

    def next_delivery_at(self, now: int) -> int | None:
        """When (ms) the next delivery is due that is not due yet, None if there is none."""
        row = self._connection.row("SELECT min(due) FROM delivery WHERE due > :now", {"now": now})
        return row[0] if row else None

    def undelivered(self, holder: str) -> int:
        """How many deliveries to a holder's wallet wait or were given up."""
        sql = "SELECT count(*) FROM delivery WHERE holder = :holder"
        return int(next(iter(self._connection.rows(sql, {"holder": holder})))[0])

    def put_delivery(self, delivery: Delivery) -> None:
        """Add or replace."""
        params = {name: getattr(delivery, name) for name in _DELIVERY.split(", ")}
        self._connection.change(f"REPLACE INTO delivery ({_DELIVERY}) VALUES ({_values(_DELIVERY)})", params)

    def drop_given_up(self, holder: str) -> None:
        """Forget the deliveries to a holder that were given up."""
        self._connection.change("DELETE FROM delivery WHERE holder = :holder AND due IS NULL", {"holder": holder})

    def drop_delivery(self, identifier: str) -> None:
        """It has arrived."""
        self._connection.change("DELETE FROM delivery WHERE id = :id", {"id": identifier})

    def former_keys(self, now: int) -> list[tuple[str, str]]:
        """Id and JWK (JSON) of the keys that the authority signed with before and still publishes, the latest first.

        Those whose time is over are forgotten.
        """
        self._connection.change("DELETE FROM former_key WHERE until <= :now", {"now": now})
        rows = self._connection.rows("SELECT kid, jwk FROM former_key ORDER BY until DESC, rowid DESC")
        return [(row[0], row[1]) for row in rows]

    def put_former_key(self, kid: str, jwk: str, until: int) -> None:
        """Publish a key until (ms) although nothing new is signed with it."""
        text = "REPLACE INTO former_key (kid, jwk, until) VALUES (:kid, :jwk, :until)"
        self._connection.change(text, {"kid": kid, "jwk": jwk, "until": until})

    def holders(self, kind: str, key: str) -> list[PartKey]:
        """The members in force that have registered a key."""
        text = (
            f"SELECT {_PART_KEY} FROM part_key WHERE type = :type AND key = :key AND bpn IN"
            " (SELECT bpn FROM member WHERE standing = :standing) ORDER BY bpn"
        )
        rows = self._connection.rows(text, {"type": kind, "key": key, "standing": Standing.MEMBER.value})
        return [_part_key(row) for row in rows]

    def put_key(self, key: PartKey) -> PartKey:
        """Register a key; if it is there already, what was registered first."""
        params = {name: getattr(key, name) for name in _PART_KEY.split(", ")}
        self._connection.change(
            f"INSERT INTO part_key ({_PART_KEY}) VALUES ({_values(_PART_KEY)}) ON CONFLICT DO NOTHING", params
        )
        text = f"SELECT {_PART_KEY} FROM part_key WHERE bpn = :bpn AND type = :type AND key = :key"
        return _part_key(next(iter(self._connection.rows(text, params))))

    def count_keys(self, bpn: str) -> int:
        """How many keys a member has registered."""
        rows = self._connection.rows("SELECT count(*) FROM part_key WHERE bpn = :bpn", {"bpn": bpn})
        return int(next(iter(rows))[0])

    def drop_key(self, identifier: str, bpn: str) -> bool:
        """Forget a member's key; whether there was one."""
        params = {"id": identifier, "bpn": bpn}
        return self._connection.change("DELETE FROM part_key WHERE id = :id AND bpn = :bpn", params) > 0

    def last_end(self) -> int | None:
        """When (ms) the last of all credentials ends that were issued; None if there are none."""
        row = self._connection.row("SELECT max(expires) FROM credential")
        return row[0] if row else None


_MEMBER: Final = "bpn, name, standing, since, did, attributes, invitation, invited_until"
_PART_KEY: Final = "id, bpn, type, key"
_REQUEST: Final = "issuer_pid, holder, holder_pid, wanted, status, received, reason"
_CREDENTIAL: Final = "id, bpn, holder, type, profile, list_number, place, issued, expires, jwt, issuer_pid, revoked"
_DELIVERY: Final = "id, holder, path, body, due, token, attempts, failure"


def _values(columns: str) -> str:
    return ", ".join(f":{name}" for name in columns.split(", "))


def _member(row: Row) -> Member:
    bpn, name, standing, since, did, attributes, invitation, invited_until = row
    return Member(
        bpn=bpn,
        name=name,
        standing=Standing(standing),
        since=since,
        did=did,
        attributes=json.loads(attributes),
        invitation=invitation,
        invited_until=invited_until,
    )


def _part_key(row: Row) -> PartKey:
    ident, bpn, kind, key = row
    return PartKey(id=ident, bpn=bpn, type=kind, key=key)


def _request(row: Row) -> Request:
    issuer_pid, holder, holder_pid, wanted, status, received, reason = row
    return Request(
        issuer_pid=issuer_pid,
        holder=holder,
        holder_pid=holder_pid,
        wanted=tuple(json.loads(wanted)),
        status=RequestStatus(status),
        received=received,
        reason=reason,
    )


def _issued(row: Row) -> Issued:
    identifier, bpn, holder, kind, profile, list_number, place, issued, expires, jwt, issuer_pid, revoked = row
    return Issued(
        id=identifier,
        bpn=bpn,
        holder=holder,
        type=kind,
        profile=Profile(profile),
        list_number=list_number,
        index=place,
        issued=issued,
        expires=expires,
        jwt=jwt,
        issuer_pid=issuer_pid,
        revoked=revoked,
    )


def _delivery(row: Row) -> Delivery:
    identifier, holder, path, body, due, token, attempts, failure = row
    return Delivery(
        id=identifier, holder=holder, path=path, body=body, due=due, token=token, attempts=attempts, failure=failure
    )


class Register:
    """The database and its thread. Open it with `open`; `run` everything; `close` it."""

    def __init__(self, connection: Connection, lock: LockFile | None) -> None:
        self._connection = connection
        self._lock = lock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="register")

    @classmethod
    async def open(cls, path: Path | None = None) -> Self:
        """Open the file, made if missing; in memory if None. Raise Unavailable if it cannot be used."""
        return cls(*await asyncio.to_thread(_connect, path))

    async def run(self, fn: Callable[[Tx], T]) -> T:
        """Run one transaction: all of it is committed, or nothing. What `fn` raises comes out."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, fn)

    def _transact(self, fn: Callable[[Tx], T]) -> T:
        connection = self._connection
        connection.begin()
        try:
            result = fn(Tx(connection))
            connection.control("COMMIT")
        except BaseException:
            if not connection.lost:
                connection.control("ROLLBACK")
            raise
        return result

    async def close(self) -> None:
        """Finish what is under way and let go of the file."""
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()
        if self._lock is not None:
            self._lock.release()


def _connect(path: Path | None) -> tuple[Connection, LockFile | None]:
    lock = None if path is None else LockFile(path)
    try:
        if path is not None:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # it holds credentials
        database = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        try:
            for statement in (*WAL, *SETTINGS):
                database.execute(statement)
            _bring_up(database, path)
        except BaseException:
            database.close()
            raise
    except BaseException as error:
        if lock is not None:
            lock.release()
        if isinstance(error, sqlite3.Error | OSError):
            raise Unavailable(f"the register {path or 'in memory'} cannot be opened: {error}") from error
        raise
    connection = Connection(database, _SQL, FAULTS, "BEGIN IMMEDIATE")
    connection.writable = True
    return connection, lock


def _bring_up(database: sqlite3.Connection, path: Path | None) -> None:
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found == len(_STEPS):
        return
    if found > len(_STEPS):
        raise LocalError(f"a newer version of this program has written {path}: use that one")
    database.execute("BEGIN IMMEDIATE")
    for statement in chain.from_iterable(_STEPS[found:]):
        database.execute(statement)
    database.execute(f"PRAGMA user_version={len(_STEPS)}")
    database.execute("COMMIT")
