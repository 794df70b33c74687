"""A node with a wallet and an authority, on a thread of their own, and the participants whose tokens open their doors.

Tokens are good once, so every request gets a fresh one that is good: what is fuzzed is what stands behind it. Bad
tokens are a subject of their own (tests/property/test_identity_tokens.py, test_identity_credentials.py).
"""

import time
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from unittest.mock import patch

from typing_extensions import override

from connector.authority import program
from connector.authority.discovery import BPN_PATH
from connector.authority.program import DATABASE as REGISTER
from connector.http.limits import Allowed
from connector.identity.jws import CompactJws
from connector.identity.presentations import sign_presentation
from connector.wiring import DATABASE
from tests.fuzz.fuzz_world import Fuzzed, Known
from tests.fuzz.soundness import faults_of_database, faults_of_records
from tests.fuzz.surfaces import Operation
from tests.integration import authority_world, wallet_world
from tests.integration.authority_world import AuthorityWorld, Message
from tests.integration.wallet_world import SCOPES, SECRET, TYPES, Holder, Others

UNLIMITED = {
    "failures_per_minute": 0,
    "wrong_keys_per_minute": 0,
    "requests_per_second": 0,
    "requests_at_once": 0,
}


@dataclass(frozen=True)
class Stock:
    """What a test finds: names of things, a member of its own, and the member's credential of that."""

    known: Known
    member: authority_world.Holder
    membership: str


class FuzzedTrust(Fuzzed[Stock]):
    """The wallet of a node, and an authority; neither counts who comes."""

    others: Others
    node: Holder
    authority: AuthorityWorld

    @override
    async def _start(self) -> None:
        enter = self._async_stack.enter_async_context
        self.others = await enter(wallet_world.others())
        trusted = {self.others["issuer"].did: ["*"]}
        self.node = await enter(wallet_world.holder(self._folder / "node", trusted, limits=UNLIMITED))
        await self.node.hold(*(self.others.vc(self.node.did, kind) for kind in TYPES))
        with patch.multiple(program, ALLOWED=Allowed(), KEYS=Allowed()):
            self.authority = await enter(authority_world.authority_world(self._folder / "authority"))

    @override
    async def _stock(self, stack: AsyncExitStack) -> Stock:
        """A member with credentials, a request and a key, somebody who is invited, and a request of the node's."""
        number, operator, issuer = self._count, self.authority.operator, self.others["issuer"].did
        member = await stack.enter_async_context(authority_world.Holder(f"member{number}"))
        bpn, invited = f"BPNL{number:012}", f"BPNS{number:012}"
        await operator.post("/members", {"bpn": bpn, "did": member.did})
        await operator.post("/members", {"bpn": invited})
        (issued,) = await operator.post(f"/members/{bpn}/credentials", {"credentials": ["membership"]})
        body = self.authority.body("bpn")
        answer = await self.authority.ask(self.authority.bearer(member), body)
        asked = await self.node.client.credentials.request(issuer, TYPES[:1])
        part, bearer = {"type": "mpn", "key": f"part-{number}"}, self.authority.bearer(member)
        async with self.authority.http.post(f"{self.authority.root}{BPN_PATH}", json=part, headers=bearer) as kept:
            key = (await kept.json())["resourceId"]
        known = {
            "key": key,
            "credential": issued["id"],
            "request": (await answer.json())["issuerPid"],
            "told": body["holderPid"],
            "asked": asked.id,
            "member": bpn,
            "invited": invited,
            "holder": member.did,
            "issuer": issuer,
            "verifier": self.others["verifier"].did,
            "jwt": self.others.vc(self.node.did, index=number),
            "scope": SCOPES[0],
            "client": "tests",
            "secret": SECRET,
        }
        return Stock(known, member, issued["jwt"])

    def base(self, operation: Operation) -> str:
        """Where an operation is served."""
        match operation.surface:
            case "authority":
                return self.authority.running.public.url
            case "register":
                return self.authority.running.management.url
            case _ if operation.path.startswith("/sts"):
                return self.node.running.management.url
            case _:
                return self.node.running.public.url

    def headers(self, operation: Operation, stock: Stock) -> Mapping[str, str]:
        """What lets a request of this test in."""
        match operation.surface, operation.path:
            case "register", _:
                return {"X-Api-Key": authority_world.KEY}
            case "authority", "/bpn-directory":
                return {"Authorization": f"Bearer {shown(stock)}"}
            case "authority", _:
                return self.authority.bearer(stock.member)
            case _, "/dcp/presentations/query":
                return {"Authorization": self.run(self._querying())}
            case _, "/sts/token":
                return {}
            case _:
                return {"Authorization": self.others["issuer"].header(self.node.did)}

    async def _querying(self) -> str:
        """The verifier's token, which carries an access token of the node's to all that it holds."""
        verifier = self.others["verifier"]
        status, doc = await self.node.token(verifier.did, " ".join(SCOPES))
        assert status == 200
        return verifier.header(self.node.did, token=CompactJws.parse(doc["access_token"]).payload["token"])

    @override
    def assert_sound(self) -> None:
        assert self.surprises() == []
        with self.stocked() as stock:
            self.run(self._work(stock))
        assert self.surprises() == []
        assert self.run(self.node.running.node.store.read(faults_of_records)) == []
        for file in (self._folder / "node" / DATABASE, self._folder / "authority" / REGISTER):
            assert faults_of_database(file) == []

    async def _work(self, stock: Stock) -> None:
        """The authority issues and is asked who is a member; the wallet takes a credential and shows what it holds."""
        seen = [await stock.member.next()]
        assert (await self.authority.ask(self.authority.bearer(stock.member), self.authority.body())).status == 201
        seen.append(await stock.member.next())
        assert [issued(message) for message in seen] == [["BpnCredential"], ["MembershipCredential", "BpnCredential"]]
        bearer = {"Authorization": f"Bearer {shown(stock)}"}
        async with self.authority.http.get(f"{self.authority.root}/bpn-directory", headers=bearer) as answer:
            assert (await answer.json())[stock.known["member"]] == stock.member.did
        delivered = self.others.message(stock.known["jwt"])
        token = self.others["issuer"].header(self.node.did)
        assert (await self.node.post("/credentials", token, delivered))[0] == 200
        query = {"@context": [authority_world.CONTEXT], "type": "PresentationQueryMessage", "scope": list(SCOPES)}
        status, doc = await self.node.post("/presentations/query", await self._querying(), query)
        assert (status, len(doc["presentation"])) == (200, 1)


def shown(stock: Stock) -> str:
    """The member's presentation of its membership, made out to itself (CX-0167)."""
    did, now = stock.member.did, int(time.time() * 1000)
    return sign_presentation(stock.member.key, [stock.membership], audience=did, jti=str(uuid.uuid4()), now=now)


def issued(message: Message) -> list[str]:
    """What a delivery brings."""
    return [each["credentialType"] for each in message.doc["credentials"]]
