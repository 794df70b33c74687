"""What a holder's request brings, decided in one transaction without clock, chance or network (DCP 1.0, 6.4 and 6.5).

Who is in the register gets what is every member's, at once; who comes with an invitation is put into it with the DID
that its token proves. A request that is repeated (its holder has missed the answer or the delivery) is decided once and
delivered again. What is decided leaves as a delivery of the same transaction.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from connector.authority.keys import Keys
from connector.authority.kinds import Supported, Terms
from connector.authority.model import Delivery, Issued, Member, Request, Standing
from connector.authority.register import Tx
from connector.identity.credentials import CATENA_X_CONTEXT, Profile, credential, sign_credential
from connector.identity.dcp_messages import (
    CredentialContainer,
    CredentialMessage,
    CredentialOfferMessage,
    CredentialRequestMessage,
    Decision,
    RequestStatus,
)
from connector.identity.keys import SigningKey
from connector.identity.status_list import MIN_BITS, REVOCATION, StatusEntry
from connector.protocol.errors import Conflict, Invalid, NotFound, PeerError

FILL: Final = MIN_BITS // 2
"""Credentials of one list at most: places are found by chance, so half of them stay free."""
REQUESTS_A_DAY: Final = 200
"""Of one holder."""
UNDELIVERED: Final = 32
"""Of one holder: repeats are delivered again, and a wallet that is not there must not fill the register."""
KEPT_DAYS: Final = 90
"""How long requests are known: as their holders see them, and for repeats."""
STORAGE_PATH: Final = "/credentials"
OFFERS_PATH: Final = "/offers"
DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Office:
    """Who issues, and what. `validity` is in ms; `status_url` gives the URL of a list."""

    keys: Keys
    supported: Mapping[str, Supported]
    terms: Terms
    validity: int
    issuer_url: str
    status_url: Callable[[int], str]

    @property
    def key(self) -> SigningKey:
        """What it signs with now."""
        return self.keys.current

    @property
    def schemas(self) -> str:
        """The URL below which the subjects' schemas are."""
        return f"{self.issuer_url}/schemas"


@dataclass(frozen=True, slots=True)
class Chance:
    """Where new things come from: `now` in ms, fresh ids, and `below(n)` that picks one of n."""

    now: int
    ids: Callable[[], str]
    below: Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came, its sender proved. code: of an invitation. token: what it wants to see again."""

    holder: str
    message: CredentialRequestMessage
    code: str | None = None
    token: str | None = None


def entry_type(profile: Profile) -> str:
    """The kind of status entry that belongs to a profile."""
    return "StatusList2021Entry" if profile is Profile.VC11 else "BitstringStatusListEntry"


def digest(code: str) -> str:
    """What is kept of an invitation's code."""
    return hashlib.sha256(code.encode()).hexdigest()


def take_request(tx: Tx, asked: Asked, office: Office, chance: Chance) -> Request:
    """Decide a request, and have the decision delivered.

    Raise PeerError: 400 an id that is not in the metadata, 403 no member, 409 the holderPid stands for something else,
    429 too many.
    """
    _check_known(asked.message.credentials, office)
    member = _member(tx, asked, chance.now)
    _check_room(tx, asked.holder)
    message = asked.message
    earlier = tx.request_of(asked.holder, message.holder_pid)
    if earlier is not None:
        if set(earlier.wanted) != set(message.credentials):
            raise PeerError(409, "this holderPid was used for another request; take a new one", "/holderPid")
        issued = [c for c in tx.credentials(issuer_pid=earlier.issuer_pid) if _in_force(c, chance.now)]
        if earlier.status is RequestStatus.ISSUED and not issued:
            raise PeerError(
                409, "what this holderPid stands for is not in force any more; take a new one", "/holderPid"
            )
        _deliver(tx, earlier, issued, asked, chance)
        return earlier
    if tx.requests_since(asked.holder, chance.now - DAY_MS) >= REQUESTS_A_DAY:
        raise PeerError(429, f"more than {REQUESTS_A_DAY} requests in a day")
    wanted = [office.supported[i] for i in dict.fromkeys(message.credentials)]
    lacking = [w.kind.type for w in wanted if w.kind.attributes and w.kind.type not in member.attributes]
    request = Request(
        issuer_pid=chance.ids(),
        holder=asked.holder,
        holder_pid=message.holder_pid,
        wanted=message.credentials,
        status=RequestStatus.REJECTED if lacking else RequestStatus.ISSUED,
        received=chance.now,
        reason=f"the register does not say that you may have: {', '.join(lacking)}" if lacking else None,
    )
    tx.forget_requests(chance.now - KEPT_DAYS * DAY_MS)  # here, so that nothing has to look for them
    tx.add_request(request)
    issued = [] if lacking else [issue(tx, member, w, office, chance, request.issuer_pid) for w in wanted]
    _deliver(tx, request, issued, asked, chance)
    return request


def _check_room(tx: Tx, holder: str) -> None:
    """Raise PeerError 429 if too much waits for the holder's wallet; what was given up makes room."""
    if tx.undelivered(holder) < UNDELIVERED:
        return
    tx.drop_given_up(holder)
    if tx.undelivered(holder) >= UNDELIVERED:
        raise PeerError(429, f"{UNDELIVERED} deliveries wait for your wallet: see that it can be reached")


def _in_force(issued: Issued, now: int) -> bool:
    return issued.revoked is None and issued.expires > now


def _check_known(wanted: Sequence[str], office: Office) -> None:
    for place, identifier in enumerate(wanted):
        if identifier not in office.supported:
            raise PeerError(
                400, "no credential object of the issuer's metadata has this id", f"/credentials/{place}/id"
            )


def _member(tx: Tx, asked: Asked, now: int) -> Member:
    """The member that asks; one that comes with an invitation becomes it."""
    member = tx.member(did=asked.holder)
    if member is None and asked.code is not None:
        invited = tx.member(invitation=digest(asked.code))
        if invited is None or invited.standing is not Standing.INVITED or invited.invited_until <= now:
            raise PeerError(403, "the invitation is not known, was used, or has expired; ask for a new one")
        member = replace(invited, did=asked.holder, standing=Standing.MEMBER, since=now, invitation=None)
        tx.put_member(member)
    if member is None:
        raise PeerError(403, "the sender is not in the register of this data space; ask the authority to invite you")
    if member.standing is not Standing.MEMBER:
        raise PeerError(403, "the membership has ended")
    return member


def issue(
    tx: Tx, member: Member, wanted: Supported, office: Office, chance: Chance, issuer_pid: str | None = None
) -> Issued:
    """Make a credential of a member, and note it. The member must have what the kind needs to know."""
    if member.did is None:
        raise Conflict(f"{member.bpn} has not come with its invitation yet: there is no DID to issue to", "/did")
    kind, profile = wanted.kind, wanted.profile
    if kind.attributes and kind.type not in member.attributes:
        raise Invalid(f"the register does not say {', '.join(kind.attributes)} of {member.bpn}", "/attributes")
    number = tx.open_list(profile, FILL)
    index = chance.below(MIN_BITS)
    while tx.taken(number, index):
        index = chance.below(MIN_BITS)
    identifier, expires = f"urn:uuid:{chance.ids()}", chance.now + office.validity
    subject = kind.says(member.bpn, office.terms, member.attributes.get(kind.type, {}))
    doc = credential(
        profile,
        identifier=identifier,
        types=[kind.type],
        issuer=office.key.did,
        subject={"id": member.did, **subject},
        valid_from=chance.now,
        valid_until=expires,
        status=StatusEntry(entry_type(profile), REVOCATION, index, office.status_url(number)),
        contexts=[CATENA_X_CONTEXT],
    )
    issued = Issued(
        id=identifier,
        bpn=member.bpn,
        holder=member.did,
        type=kind.type,
        profile=profile,
        list_number=number,
        index=index,
        issued=chance.now,
        expires=expires,
        jwt=sign_credential(office.key, doc),
        issuer_pid=issuer_pid,
    )
    tx.add_credential(issued)
    return issued


def _deliver(tx: Tx, request: Request, issued: Sequence[Issued], asked: Asked, chance: Chance) -> None:
    message = CredentialMessage(
        issuer_pid=request.issuer_pid,
        holder_pid=request.holder_pid,
        status=Decision(request.status.value),
        credentials=tuple(
            CredentialContainer(credential_type=i.type, format=i.profile.value, payload=i.jwt) for i in issued
        ),
        rejection_reason=request.reason,
    )
    _post(tx, request.holder, STORAGE_PATH, message.to_json(), chance, token=asked.token)


def offer(tx: Tx, bpn: str, wanted: Sequence[str], office: Office, chance: Chance) -> Member:
    """Offer a member credentials (6.6); all that it may have if none are named. Its wallet may then ask for them.

    Raise NotFound, Conflict if it has no DID yet, Invalid for an id that is not offered.
    """
    member = existing(tx, bpn)
    if member.did is None or member.standing is not Standing.MEMBER:
        raise Conflict(f"{bpn} is {member.standing}: credentials are offered to members", "/bpn", bpn)
    if unknown := [i for i in wanted if i not in office.supported]:
        raise Invalid(f"known are {', '.join(office.supported)}", "/credentials", unknown)
    may_have = [s for s in office.supported.values() if not s.kind.attributes or s.kind.type in member.attributes]
    objects = [s.to_object(office.schemas) for s in may_have if not wanted or s.id in wanted]
    if not objects:
        raise Invalid(f"{bpn} may have none of these", "/credentials", list(wanted))
    message = CredentialOfferMessage(issuer=office.key.did, credentials=tuple(objects))
    _post(tx, member.did, OFFERS_PATH, message.to_json(), chance)
    return member


def _post(tx: Tx, holder: str, path: str, body: Mapping[str, Any], chance: Chance, *, token: str | None = None) -> None:
    tx.put_delivery(
        Delivery(id=chance.ids(), holder=holder, path=path, body=orjson.dumps(body), due=chance.now, token=token)
    )


def existing(tx: Tx, bpn: str) -> Member:
    """The member with this BPN. Raise NotFound."""
    member = tx.member(bpn=bpn)
    if member is None:
        raise NotFound(f"there is no member {bpn}", "/bpn", bpn)
    return member


def end_membership(tx: Tx, bpn: str, now: int) -> list[Issued]:
    """A member leaves, or is made to: all its credentials are revoked, and it gets no new ones. Those are returned."""
    member = existing(tx, bpn)
    tx.put_member(replace(member, standing=Standing.ENDED, since=now, invitation=None))
    return [issued for issued in tx.credentials(bpn=bpn) if tx.revoke(issued.id, now)]
