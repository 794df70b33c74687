"""Our own credentials: asked of issuers, kept, and asked for again before they end (DCP 1.0, clause 6, holder).

A request is a fact in the database and a message in the outbox, so it survives a crash and is repeated until the issuer
has taken it; the credentials come later, in a message of the issuer's. Each has one timer: at four fifths of the life
it has left, the issuer is asked for the next one, and again at four fifths of what is left then, until it has ended.

Requests that were decided long ago are forgotten when the next one is made: nothing has to look for them.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

import orjson
import structlog

from connector.exchange.node import Node
from connector.exchange.ports import Holder, Ids, Receipt, Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import Asked, CredentialRequest, Held, HeldCredential, Outgoing, Timer
from connector.protocol.errors import Conflict

KIND: Final = "credential"
"""`Outgoing.kind` of requests and `Timer.kind` of renewals."""
SHORTEST_MS: Final = 60_000
"""A renewal that would be due sooner than this is not worth asking for: the credential simply ends."""
MAX_WANTED: Final = 64
KEPT_MS: Final = 90 * 24 * 3600 * 1000
"""How long a request is kept after it was decided."""
MAX_CURRENT: Final = 512
"""Credentials in force that are looked at; a participant has about five."""
_CURRENT: Final = QuerySpec(criteria=(Criterion("state", "=", Held.ISSUED),), limit=MAX_CURRENT, descending=True)
log = structlog.get_logger()


def ask(
    tx: Tx, issuer: str, wanted: Sequence[str], *, now: int, ids: Ids, code: str | None = None
) -> CredentialRequest:
    """Ask `issuer` (a DID) for credentials: types, or ids of its own list. A request that is open already is enough.

    code: the pre-authorized code that the issuer gave us out of band; it is kept until the issuer has taken it.
    """
    names = tuple(dict.fromkeys(wanted))
    criteria = (Criterion("issuer", "=", issuer), Criterion("state", "=", Asked.REQUESTED))
    for known in tx.credential_requests.query(QuerySpec(criteria=criteria, descending=True)):
        if set(names) <= set(known.wanted) and _on_its_way(tx, known, now) and code is None:
            return known
    _forget(tx, now - KEPT_MS)
    request = CredentialRequest(ids(), now, now, issuer, Asked.REQUESTED, names)
    tx.credential_requests.add(request)
    body = orjson.dumps({"code": code})
    tx.send(Outgoing(ids(), now, request.id, KIND, "REQUEST", issuer, body, audience=issuer, due_at=now))
    return request


def _forget(tx: Tx, before: int) -> None:
    """Drop requests that were decided before this time (ms); more of them than are made."""
    criteria = (Criterion("updatedAt", "<", before), Criterion("state", "!=", Asked.REQUESTED))
    for old in tx.credential_requests.query(QuerySpec(criteria=criteria)):
        tx.credential_requests.delete(old.id)


def _on_its_way(tx: Tx, request: CredentialRequest, now: int) -> bool:
    """Whether it may still be fulfilled: it waits in the outbox, or the issuer took it a short while ago."""
    waiting = tx.outbox.count([Criterion("topic", "=", request.id), Criterion("dead", "=", False)])  # noqa: FBT003 - a value
    return bool(waiting) or (request.error is None and now - request.updated_at < SHORTEST_MS)


def answered(tx: Tx, request: CredentialRequest, receipt: Receipt | None, reason: str, *, now: int) -> None:
    """Note the issuer's answer: its receipt, or None and the `reason` of its refusal."""
    if receipt is not None:
        pid, url = receipt.issuer_pid, receipt.status_url
        request = replace(request, updated_at=now, issuer_pid=request.issuer_pid or pid, status_url=url, error=None)
    else:
        log.warning("credential request refused", issuer=request.issuer, wanted=request.wanted, reason=reason)
        request = replace(request, updated_at=now, state=Asked.REJECTED, error=reason[:2000])
        tx.drop_messages(request.id)  # which lets those know who wait for its end
    tx.credential_requests.save(request)


def take(tx: Tx, issuer: str, holder_pid: str, issuer_pid: str, brought: Sequence[HeldCredential], *, now: int) -> None:
    """Keep what an issuer has delivered, all of it checked. What it issued before of the same types is replaced."""
    known = {held.id for held in brought}
    kinds = [set(held.types) for held in brought]
    for old in tx.credentials.query(_CURRENT):
        if old.issuer == issuer and set(old.types) in kinds and old.id not in known:
            tx.credentials.delete(old.id)
            tx.drop_timers(old.id)
    for held in brought:
        before = tx.credentials.find(held.id)
        if before is None:
            tx.credentials.add(held)
        elif before.state is not Held.ISSUED:  # its issuer has taken back that it took it back
            tx.credentials.save(held)
        else:
            continue  # delivered before
        _watch(tx, held, now)
    decided(tx, issuer, holder_pid, issuer_pid, Asked.ISSUED, None, now=now)


def decided(
    tx: Tx, issuer: str, holder_pid: str, issuer_pid: str, state: Asked, reason: str | None, *, now: int
) -> None:
    """Note how a request of ours has ended, if it is one of ours. Raise Conflict if another issuer was asked."""
    if (request := tx.credential_requests.find(holder_pid)) is None:
        return
    if request.issuer != issuer:
        raise Conflict("another issuer was asked for this", "/holderPid")
    after = replace(request, updated_at=now, state=state, issuer_pid=issuer_pid, error=reason)
    tx.credential_requests.save(after)
    tx.drop_messages(request.id)


def _watch(tx: Tx, held: HeldCredential, now: int) -> None:
    """Set the timer of a credential that ends."""
    if held.valid_until is None:
        return
    left = held.valid_until - now
    renewal = left - left // 5
    due = now + renewal if renewal >= SHORTEST_MS else max(held.valid_until, now)
    tx.set_timer(Timer(held.id, due, KIND, held.id))


def due(node: Node, tx: Tx, timer: Timer) -> None:
    """Do what a credential's timer is for: ask for the next one, or note that it has ended."""
    held, now = tx.credentials.find(timer.subject), node.clock.now()
    if held is None or held.state is not Held.ISSUED or held.valid_until is None:
        return
    if now >= held.valid_until:
        log.warning("credential expired", types=held.types, issuer=held.issuer)
        tx.credentials.save(replace(held, state=Held.EXPIRED))
        return
    ask(tx, held.issuer, held.types, now=now, ids=node.ids)
    _watch(tx, held, now)


def revoke(tx: Tx, identifier: str) -> None:
    """Note that an issuer has taken a credential back."""
    held = tx.credentials.find(identifier)
    if held is not None and held.state is Held.ISSUED:
        log.warning("credential revoked", types=held.types, issuer=held.issuer)
        tx.credentials.save(replace(held, state=Held.REVOKED))
        tx.drop_timers(identifier)


def current(tx: Tx, now: int) -> list[HeldCredential]:
    """What is worth showing, newest first."""
    return [held for held in tx.credentials.query(_CURRENT) if held.current(now)]


def missing(tx: Tx, needed: Collection[str], now: int) -> list[str]:
    """The types that partners ask for and we have not."""
    there = {name for held in current(tx, now) for name in held.types}
    return [name for name in needed if name not in there]


def look(tx: Tx, holder: Holder, *, now: int, ids: Ids) -> None:
    """At the start: say which credentials are missing, and ask our issuer for them if we have one."""
    absent = missing(tx, holder.needed, now)
    if not absent:
        return
    log.warning(
        "credentials missing",
        missing=absent,
        effect="partners that ask for them refuse our messages, and our answers to theirs",
        next="it was asked for them" if holder.issuer else "set wallet.issuer, or have an issuer deliver them",
        issuer=holder.issuer or None,
    )
    if holder.issuer:
        ask(tx, holder.issuer, absent, now=now, ids=ids)
