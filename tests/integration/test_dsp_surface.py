"""Bad input on every endpoint of the protocol: a typed error that says where, nothing leaked, nothing changed.

`World.ask` holds every answer, good or bad, against the official schema of its type.
"""

import copy
import gzip
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from connector.exchange import negotiation_inbound
from connector.identity.did import did_document, did_of_url
from connector.identity.keys import SigningKey
from connector.identity.tokens import issue_token
from connector.protocol.messages import UNKNOWN_PID
from tests.conformance.official import faults
from tests.integration.dsp_world import (
    BPNS,
    CONTEXT,
    STRANGER,
    THEM,
    USE,
    World,
    message,
    mock_token,
    world,
)

PIDS = {"consumerPid": "cp-1", "providerPid": "pp-1"}
OFFER: dict[str, Any] = {"@id": "d:a:f", "@type": "Offer", "target": "asset-1", **USE}
AGREEMENT = OFFER | {"@type": "Agreement", "assigner": THEM, "assignee": "provider"}
BACK = "http://127.0.0.1:9/back"
NEGOTIATION, TRANSFER = "ContractNegotiationError", "TransferError"
POSTS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("/catalog/request", message("CatalogRequestMessage"), "CatalogError"),
    (
        "/negotiations/request",
        message("ContractRequestMessage", consumerPid="cp-1", offer=OFFER, callbackAddress=BACK),
        NEGOTIATION,
    ),
    (
        "/negotiations/offers",
        message("ContractOfferMessage", providerPid="pp-1", offer=OFFER | {"assigner": THEM}, callbackAddress=BACK),
        NEGOTIATION,
    ),
    ("/negotiations/{pid}/request", message("ContractRequestMessage", **PIDS, offer=OFFER), NEGOTIATION),
    ("/negotiations/{pid}/offers", message("ContractOfferMessage", **PIDS, offer=OFFER), NEGOTIATION),
    ("/negotiations/{pid}/agreement", message("ContractAgreementMessage", **PIDS, agreement=AGREEMENT), NEGOTIATION),
    (
        "/negotiations/{pid}/agreement/verification",
        message("ContractAgreementVerificationMessage", **PIDS),
        NEGOTIATION,
    ),
    (
        "/negotiations/{pid}/events",
        message("ContractNegotiationEventMessage", **PIDS, eventType="FINALIZED"),
        NEGOTIATION,
    ),
    ("/negotiations/{pid}/termination", message("ContractNegotiationTerminationMessage", **PIDS), NEGOTIATION),
    (
        "/transfers/request",
        message(
            "TransferRequestMessage",
            consumerPid="cp-1",
            agreementId="none",
            format="HttpData-PULL",
            callbackAddress=BACK,
        ),
        TRANSFER,
    ),
    ("/transfers/{pid}/start", message("TransferStartMessage", **PIDS), TRANSFER),
    ("/transfers/{pid}/suspension", message("TransferSuspensionMessage", **PIDS), TRANSFER),
    ("/transfers/{pid}/completion", message("TransferCompletionMessage", **PIDS), TRANSFER),
    ("/transfers/{pid}/termination", message("TransferTerminationMessage", **PIDS), TRANSFER),
)
GETS = (
    ("/catalog/datasets/{pid}", "CatalogError"),
    ("/negotiations/{pid}", NEGOTIATION),
    ("/transfers/{pid}", TRANSFER),
)
LEAKS = re.compile(
    r"traceback|file \"|[.]py|sqlite|select|0x[0-9a-f]{6}|connector[.]|signing-key|has no att", re.IGNORECASE
)


@pytest.fixture
async def us(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as there:
        yield there


async def busy(us: World) -> tuple[str, str]:
    """Processes that bad input could harm: the pids of a negotiation and a transfer with the counterparty."""
    pid, agreement = await us.as_provider()
    moved, _ = await us.started(agreement)
    return pid, moved


# Bodies


BODIES: dict[str, tuple[bytes, dict[str, str], int]] = {
    "cut off": (b'{"@context": [', {}, 400),
    "not UTF-8": (b'{"@type": "\xff\xfe"}', {}, 400),
    "NaN": (b'{"@type": NaN}', {}, 400),
    "nothing": (b"", {}, 400),
    "null": (b"null", {}, 400),
    "text": (b'"ContractRequestMessage"', {}, 400),
    "number": (b"17", {}, 400),
    "list": (b"[]", {}, 400),
    "empty object": (b"{}", {}, 400),
    "deep": (b'{"a":' * 500 + b"1" + b"}" * 500, {}, 400),
    "very deep": (b"[" * 200_000, {}, 400),
    "huge": (b'{"a": "' + b"x" * (1 << 20) + b'"}', {}, 413),
    "gzip bomb": (gzip.compress(b" " * (64 << 20)), {"Content-Encoding": "gzip"}, 413),
    "no gzip": (b"{}", {"Content-Encoding": "gzip"}, 400),
    "cut gzip": (gzip.compress(b'{"a": 1}' * 99)[:-9], {"Content-Encoding": "gzip"}, 400),
    "brotli": (b"{}", {"Content-Encoding": "br"}, 415),
    "foreign charset": (b"{}", {"Content-Type": "application/json; charset=klingon"}, 415),
    "no context": (json.dumps({"@type": "ContractRequestMessage"}).encode(), {}, 400),
    "no type": (json.dumps({"@context": CONTEXT}).encode(), {}, 400),
    "wrong type": (json.dumps({"@context": CONTEXT, "@type": "TransferError"}).encode(), {}, 400),
    "several types": (json.dumps({"@context": CONTEXT, "@type": ["A", 1, None, {}]}).encode(), {}, 400),
    "wide context": (json.dumps({"@context": CONTEXT * 5000, "@type": "TransferError"}).encode(), {}, 400),
    "cyclic context": (json.dumps({"@context": [*CONTEXT, {"a": "b:c", "b": "a:c"}], "@type": "a"}).encode(), {}, 400),
}


@pytest.mark.parametrize("name", BODIES)
async def test_no_endpoint_takes_a_body_that_is_no_message(us: World, name: str) -> None:
    body, headers, status = BODIES[name]
    await us.publish()
    before = await us.everything()
    for path, _, kind in POSTS:
        refused = await us.ask("POST", path.format(pid="x"), body, headers=headers)
        assert (refused.status, refused.doc["@type"], refused.doc["code"]) == (status, kind, str(status)), path
        assert not LEAKS.search(refused.told)
        assert len(refused.body) < 2000
    assert await us.everything() == before


REQUIRED = {
    "consumerPid": "/consumerPid",
    "providerPid": "/providerPid",
    "offer": "/offer",
    "agreement": "/agreement",
    "eventType": "/eventType",
    "agreementId": "/agreementId",
    "format": "/format",
    "callbackAddress": "/callbackAddress",
}


async def test_what_is_required_is_named_where_it_is_missing(us: World) -> None:
    for path, doc, kind in POSTS:
        for member in REQUIRED.keys() & doc.keys():
            refused = await us.post(path.format(pid="pp-1"), {k: v for k, v in doc.items() if k != member})
            assert (refused.status, refused.doc["@type"]) == (400, kind)
            ways_out = {member, "callbackAddress", "providerPid", "consumerPid"}  # either opens, or goes on
            assert any(f"(at /{name}" in refused.told for name in ways_out), (path, member, refused.told)


STRANGE: tuple[Any, ...] = (
    *(None, 1, -1.5, True, "", " ", [], [[]], {}, {"@id": 1}, {"@value": {}}, {"@list": []}, "\x00", "\ud800"),
    *("a\r\nb", "x" * 5000, ["a", "b"], {"@id": "../../etc/passwd"}, {"a": {"b": {"c": []}}}),
)


@pytest.mark.parametrize("place", ["top", "offer", "agreement"])
async def test_wrong_types_are_never_our_failure(us: World, place: str) -> None:
    """Every member of every message replaced by every strange value: refused or understood, never 5xx."""
    await us.as_provider()
    before = await us.everything()
    for path, doc, kind in POSTS:
        if place != "top" and place not in doc:
            continue
        for member in doc if place == "top" else doc[place]:
            for value in STRANGE:
                bad = copy.deepcopy(doc)
                (bad if place == "top" else bad[place])[member] = value
                answer = await us.post(path.format(pid="none"), bad)
                assert answer.status < 500, (path, member, value)
                if answer.status >= 400:
                    assert answer.doc["@type"] == kind
                    assert not LEAKS.search(answer.told), answer.told
                    assert len(answer.body) < 3000, (path, member, value)
    after = await us.everything()
    assert after["agreements"] == before["agreements"]
    assert after["negotiations"][0] == before["negotiations"][0]


async def test_a_peers_own_words_do_not_come_back_by_the_megabyte(us: World) -> None:
    long = "x" * 500_000
    for doc in (
        {"@context": [f"https://{long}"], "@type": "CatalogRequestMessage"},
        message("CatalogRequestMessage", filter=[{"@type": "QuerySpec", long: 1}]),
        message("CatalogRequestMessage", filter=[{"@type": "QuerySpec", "sortOrder": long}]),
        message("CatalogRequestMessage", consumerPid=long, filter=[1]),
    ):
        refused = await us.post("/catalog/request", doc)
        assert refused.status == 400
        assert len(refused.body) < 3000


async def test_strange_policies_are_never_our_failure(us: World) -> None:
    offer = await us.publish()
    for member in ("permission", "prohibition", "obligation", "profile"):
        for value in (*STRANGE, [{"action": "use", "constraint": STRANGE}], [{"action": STRANGE}]):
            sent = us.request(us.offer(offer) | {member: value}, f"cp-{member}")
            assert (await us.post("/negotiations/request", sent)).status in (201, 400), (member, value)


# Who may see and do what


async def test_an_unknown_process_is_404_everywhere(us: World) -> None:
    await us.publish()
    before = await us.everything()
    for path, doc, kind in POSTS:
        if "{pid}" in path or "agreementId" in doc:
            refused = await us.post(path.format(pid="pp-1"), doc)
            assert (refused.status, refused.doc["@type"]) == (404, kind), path
    for path, kind in GETS:
        refused = await us.get(path.format(pid="none"))
        assert (refused.status, refused.doc["@type"]) == (404, kind), path
    assert await us.everything() == before


async def test_a_stranger_hears_the_same_of_what_exists_and_what_does_not(us: World) -> None:
    pid, moved = await busy(us)
    (agreement,) = (a.id for a in (await us.everything())["agreements"])
    before = await us.everything()
    for path, doc, _ in POSTS:
        if path.startswith(("/catalog", "/negotiations/offers", "/negotiations/request")):
            continue
        there = moved if "transfers" in path else pid
        asked = doc | ({"agreementId": agreement} if "agreementId" in doc else {"providerPid": there})
        known = await us.post(path.format(pid=there), asked, as_=STRANGER)
        unknown = await us.post(path.format(pid="none"), doc, as_=STRANGER)
        assert (known.status, known.doc["reason"]) == (unknown.status, unknown.doc["reason"]), path
        assert known.status == 404
    for path, _ in GETS[1:]:
        there = moved if "transfers" in path else pid
        known, unknown = [await us.get(path.format(pid=p), as_=STRANGER) for p in (there, "none")]
        assert (known.status, known.body) == (unknown.status, unknown.body) == (404, unknown.body)
    assert await us.everything() == before


async def test_what_a_caller_may_not_see_is_no_dataset(us: World) -> None:
    await us.publish()
    access = {"permission": [{"action": "use", "constraint": [only("BPNL00000000THEM")]}]}
    await us.publish("for-them", access=access)
    for caller, found in ((THEM, ["asset-1", "for-them"]), (STRANGER, ["asset-1"])):
        listed = await us.post("/catalog/request", message("CatalogRequestMessage"), as_=caller)
        assert [d["@id"] for d in listed.doc["dataset"]] == found
    hidden, none = [await us.get(f"/catalog/datasets/{d}", as_=STRANGER) for d in ("for-them", "none")]
    assert (hidden.status, hidden.doc["reason"]) == (none.status, none.doc["reason"]) == (404, none.doc["reason"])
    offer = (await us.get("/catalog/datasets/for-them")).doc["hasPolicy"][0]["@id"]
    refused = await us.post("/negotiations/request", us.request(us.offer(offer, "for-them")), as_=STRANGER)
    assert refused.status == 404


def only(bpn: str) -> dict[str, Any]:
    return {"leftOperand": "BusinessPartnerNumber", "operator": "eq", "rightOperand": bpn}


async def test_no_message_in_the_wrong_state_changes_anything(us: World) -> None:
    """A finalized negotiation and a running transfer, asked for everything that is not their turn."""
    pid, moved = await busy(us)
    before = await us.everything()
    wrong = {"request", "offers", "agreement", "events", "termination"}
    for path, doc, kind in POSTS:
        last = path.rpartition("/")[2]
        if "{pid}" in path and kind == NEGOTIATION and last in wrong:
            refused = await us.post(path.format(pid=pid), doc | {"consumerPid": "cp-1", "providerPid": pid})
            assert refused.status == 400, path
            assert refused.doc["providerPid"] == pid
    consumer_only = message("TransferStartMessage", consumerPid="ct-1", providerPid=moved)
    assert (await us.post(f"/transfers/{moved}/start", consumer_only)).status == 400
    assert await us.everything() == before


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "{}", "[]", "x", '{"clientId": 7}', "Basic YTpi"])
async def test_without_a_usable_token_everything_but_the_version_is_401(us: World, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    for path, doc, kind in POSTS:
        refused = await us.post(path.format(pid="x"), doc, as_=None, headers=headers)
        assert (refused.status, refused.doc["@type"]) == (401, kind)
        assert refused.headers["WWW-Authenticate"] == "Bearer"
    for path, kind in GETS:
        refused = await us.get(path.format(pid="x"), as_=None, headers=headers)
        assert (refused.status, refused.doc["@type"]) == (401, kind)
    assert (await us.get(f"{us.root}/.well-known/dspace-version", as_=None, headers=headers)).status == 200


# Tokens of the did identity


OURS = "did:web:provider.test"


class Did:
    """A counterparty with a DID, whose document the test's server has, and ways to get its tokens wrong."""

    def __init__(self, us: World) -> None:
        self.us = us
        self.did = did_of_url(us.peer.root + "/")
        self.key = SigningKey.generate(self.did)
        us.peer.pages["/.well-known/did.json"] = did_document(self.did, [self.key])
        us.token = lambda _: self.token()

    def token(self, key: SigningKey | None = None, audience: str = OURS, late_s: int = 0, jti: str = "") -> str:
        node = self.us.running.node
        now = node.clock.now() - late_s * 1000
        made = issue_token(key or self.key, audience=audience, jti=jti or node.ids(), now=now)
        return f"Bearer {made}"


@pytest.fixture
async def proven(tmp_path: Path) -> AsyncIterator[Did]:
    async with world(tmp_path, node={"did": OURS}, identity={"kind": "did"}) as there:
        yield Did(there)


def tampered(token: str, part: int) -> str:
    parts = token.split(".")
    at = len(parts[part]) // 2
    parts[part] = parts[part][:at] + ("A" if parts[part][at] != "A" else "B") + parts[part][at + 1 :]
    return ".".join(parts)


BAD: dict[str, tuple[Callable[[Did], str], str]] = {
    "for another": (lambda them: them.token(audience="did:web:other.test"), "not for this participant"),
    "expired": (lambda them: them.token(late_s=120), "has expired"),
    "from the future": (lambda them: them.token(late_s=-120), "in the future"),
    "tampered signature": (lambda them: tampered(them.token(), 2), "not by the key it names"),
    "tampered claims": (lambda them: tampered(them.token(), 1), ""),
    "no signature": (lambda them: ".".join([*them.token().split(".")[:2], ""]), "not by the key it names"),
    "foreign key": (lambda them: them.token(SigningKey.generate(them.did)), "not in the sender's DID document"),
    "mock": (lambda _: mock_token(THEM), "not a signed JWT"),
    "rubbish": (lambda _: "Bearer rubbish.b.c", "not a signed JWT"),
}
"""Tokens, and what the log says of each."""


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_token_opens_nothing(proven: Did, name: str) -> None:
    us = proven.us
    offer = await us.publish()
    before = await us.everything()
    bad, reason = BAD[name]
    token = bad(proven)
    with capture_logs() as logs:
        refused = await us.post(
            "/negotiations/request", us.request(us.offer(offer)), as_=None, headers={"Authorization": token}
        )
    (line,) = [line for line in logs if line["event"] == "request refused"]
    assert reason in line["reason"]
    assert (refused.status, refused.doc["@type"]) == (401, NEGOTIATION)
    assert token.split(".")[0] not in refused.told
    assert await us.everything() == before


async def test_a_good_token_opens_once(proven: Did) -> None:
    token = {"Authorization": proven.token()}
    ask = message("CatalogRequestMessage")
    assert (await proven.us.post("/catalog/request", ask, as_=None, headers=token)).status == 200
    again = await proven.us.post("/catalog/request", ask, as_=None, headers=token)
    assert again.status == 401
    token = {"Authorization": proven.token()}
    assert (await proven.us.post("/catalog/request", ask, as_=None, headers=token)).status == 200


async def test_a_token_of_another_did_is_another_caller(proven: Did) -> None:
    """Somebody with a document of their own on the same host: a good token, but not the counterparty's."""
    us = proven.us
    offer = await us.publish()
    opened = await us.post("/negotiations/request", us.request(us.offer(offer)))
    await us.peer.next("ContractAgreementMessage")
    other = SigningKey.generate(f"{proven.did}:other")
    us.peer.pages["/other/did.json"] = did_document(other.did, [other])
    headers = {"Authorization": proven.token(other)}
    pid = opened.doc["providerPid"]
    assert (await us.get(f"/negotiations/{pid}", as_=None, headers=headers)).status == 404
    assert (await us.get(f"/negotiations/{pid}")).status == 200


async def test_a_sender_whose_document_cannot_be_fetched_may_try_again(proven: Did) -> None:
    us = proven.us
    us.peer.pages.clear()
    refused = await us.post("/catalog/request", message("CatalogRequestMessage"))
    assert refused.status == 503
    us.peer.pages["/.well-known/did.json"] = did_document(proven.did, [proven.key])


async def test_our_messages_carry_a_token_for_the_receiver(proven: Did) -> None:
    us = proven.us
    await us.post("/negotiations/request", us.request(us.offer(await us.publish())))
    got = await us.peer.next("ContractAgreementMessage")
    assert got.headers["Authorization"].startswith("Bearer ey")
    assert (got.doc["agreement"]["assigner"], got.doc["agreement"]["assignee"]) == (OURS, proven.did)


# Where we may be sent


INSIDE = (
    *("http://public.example/x", "https://127.0.0.1/", "https://localhost:1/", "https://[::1]/", "https://10.0.0.1/"),
    *("https://192.168.1.1/dsp", "https://172.16.0.1/", "https://169.254.169.254/latest/meta-data", "https://0.0.0.0/"),
    *("https://[::ffff:127.0.0.1]/", "https://[fd00::1]/", "https://2130706433/", "https://0x7f.1/", "https://127.1/"),
    *("https://user:pw@public.example/", "ftp://public.example/", "file:///etc/passwd", "https://", "//public.example"),
    *("https://public.example/#x", "https://public.example:99999/", "https://pub lic.example/", "javascript:alert(1)"),
)


async def test_no_callback_address_leads_inside(tmp_path: Path) -> None:
    public = {"url": "https://provider.example"}
    async with world(tmp_path, node={"development": False}, public=public) as us:
        offer = await us.publish()
        transfer = next(doc for path, doc, _ in POSTS if path == "/transfers/request")
        initial = next(doc for path, doc, _ in POSTS if path == "/negotiations/offers")
        before = await us.everything()
        for address in INSIDE:
            request = us.request(us.offer(offer), callbackAddress=address)
            for path, doc in (
                ("/negotiations/request", request),
                ("/negotiations/offers", initial | {"callbackAddress": address}),
                ("/transfers/request", transfer | {"callbackAddress": address}),
                ("/transfers/request", push(transfer, address)),
            ):
                refused = await us.post(path, doc)
                assert refused.status == 400, (path, address)
                assert "(at /callbackAddress)" in refused.told or "(at /dataAddress/endpoint)" in refused.told
        assert await us.everything() == before
        assert us.peer.got == []
        good = us.request(us.offer(offer), callbackAddress="https://public.example/dsp")
        assert (await us.post("/negotiations/request", good)).status == 201


def push(transfer: dict[str, Any], address: str) -> dict[str, Any]:
    there = {"@type": "DataAddress", "endpointType": "HttpData", "endpoint": address}
    return transfer | {"format": "HttpData-PUSH", "callbackAddress": "https://public.example", "dataAddress": there}


# Paths and methods


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/catalog/request", 405, "CatalogError"),
        ("POST", "/catalog/datasets/x", 405, "CatalogError"),
        ("GET", "/catalog", 404, "CatalogError"),
        ("GET", "/nowhere", 404, "CatalogError"),
        ("PUT", "/negotiations/request", 405, NEGOTIATION),
        ("DELETE", "/negotiations/x", 405, NEGOTIATION),
        ("POST", "/negotiations", 404, NEGOTIATION),
        ("GET", "/negotiations/", 404, NEGOTIATION),
        ("GET", "/negotiations/x/events", 405, NEGOTIATION),
        ("POST", "/negotiations/x/agreement/falsification", 404, NEGOTIATION),
        ("PATCH", "/transfers/x/start", 405, TRANSFER),
        ("POST", "/transfers", 404, TRANSFER),
        ("POST", "/transfers/x/nowhere", 404, TRANSFER),
        ("GET", "/catalog/datasets/transfers", 404, "CatalogError"),
        ("GET", "/catalog/datasets/x/negotiations/y", 404, "CatalogError"),
        ("GET", "/transfers/negotiations", 404, TRANSFER),
        ("GET", "/negotiations/%2Ftransfers%2Fx", 404, NEGOTIATION),
    ],
)
async def test_a_wrong_path_or_method_has_the_typed_body_of_its_protocol(
    us: World, method: str, path: str, status: int, kind: str
) -> None:
    refused = await us.ask(method, path, b"{}" if method == "POST" else None)
    assert (refused.status, refused.doc["@type"], refused.doc["code"]) == (status, kind, str(status))
    assert ("Allow" in refused.headers) is (status == 405)


async def test_outside_of_the_protocol_an_error_is_plain(us: World) -> None:
    for path in ("/", "/nowhere", "/api/v1/dsp/2024-1/catalog/request", "/.env"):
        refused = await us.session.get(us.running.public.url + path)
        assert refused.status == 404
        assert "Server" not in refused.headers
        assert refused.content_type == "application/json"


async def test_ids_with_slashes_and_colons_are_found(us: World) -> None:
    for ident, path in (
        ("urn:uuid:1/2", "urn:uuid:1%2F2"),
        ("https://example.com//x", "https%3A%2F%2Fexample.com%2F%2Fx"),
        ("a b", "a%20b"),
        ("ü", "%C3%BC"),
        ("50%", "50%25"),
    ):
        await us.publish(ident, path=path)
        assert (await us.get(f"/catalog/datasets/{path}")).doc["@id"] == ident


# Errors of our own


async def test_an_unexpected_failure_says_nothing_but_try_again(us: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("secret detail in /etc/connector")

    pid, _ = await us.as_provider()
    monkeypatch.setattr(negotiation_inbound, "message_key", fail)
    ended = message("ContractNegotiationTerminationMessage", consumerPid="cp-1", providerPid=pid)
    with capture_logs() as lines:
        refused = await us.post(f"/negotiations/{pid}/termination", ended, headers={"X-Request-ID": "trace-1234"})
    assert (refused.status, refused.doc["@type"], refused.headers["X-Request-ID"]) == (503, NEGOTIATION, "trace-1234")
    assert "secret" not in refused.body.decode()
    assert any(line["event"] == "unexpected failure" for line in lines)
    assert (await us.negotiation(pid)).process.state == "FINALIZED"


async def test_both_pids_of_an_error_are_those_of_the_message(us: World) -> None:
    ended = message("ContractNegotiationTerminationMessage", consumerPid="c", providerPid="p")
    told = (await us.post("/negotiations/none/termination", ended)).doc
    assert (told["consumerPid"], told["providerPid"]) == ("c", "p")
    told = (await us.get("/negotiations/none")).doc
    assert (told["consumerPid"], told["providerPid"]) == (UNKNOWN_PID, UNKNOWN_PID)


# Answers


async def test_the_version_document_names_this_version(us: World) -> None:
    shown = await us.get(f"{us.root}/.well-known/dspace-version", as_=None)
    (entry,) = shown.doc["protocolVersions"]
    assert (entry["version"], entry["path"], entry["binding"]) == ("2025-1", "/2025-1", "HTTPS")


async def test_the_did_document_leads_to_the_connector_and_holds_no_private_key(proven: Did) -> None:
    us = proven.us
    async with us.session.get(f"{us.running.public.url}/.well-known/did.json") as answer:
        assert answer.status == 200
        assert answer.content_type in ("application/did+json", "application/json")
        assert "Server" not in answer.headers
        document = json.loads(await answer.read())
    assert document["id"] == OURS
    keys = [method["publicKeyJwk"] for method in document["verificationMethod"]]
    assert keys
    assert not any(key.keys() & {"d", "p", "q", "k"} for key in keys)
    services = {service["type"]: service["serviceEndpoint"] for service in document["service"]}
    root = us.running.node.dsp_address.removesuffix("/2025-1")
    assert services["DataService"] == f"{root}/.well-known/dspace-version"


async def test_a_bulky_catalog_is_packed_for_who_takes_it(us: World) -> None:
    for n in range(4):
        await us.publish(f"asset-{n}")
    ask = message("CatalogRequestMessage")
    plain = await us.post("/catalog/request", ask, headers={"Accept-Encoding": "identity"})
    packed = await us.post("/catalog/request", ask, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) < len(plain.body) / 2
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert packed.doc["dataset"] == plain.doc["dataset"]


@pytest.mark.parametrize(("given", "kept"), [("abcd-1234", True), ("a b", False), ("x" * 500, False), ("<b>x", False)])
async def test_every_answer_names_its_exchange(us: World, given: str, kept: bool) -> None:
    for reply in (
        await us.get("/negotiations/none", headers={"X-Request-ID": given}),
        await us.post("/catalog/request", message("CatalogRequestMessage"), headers={"X-Request-ID": given}),
    ):
        assert (reply.headers["X-Request-ID"] == given) is kept


async def test_an_empty_catalog_is_a_catalog(us: World) -> None:
    shown = await us.post("/catalog/request", message("CatalogRequestMessage"))
    assert shown.status == 200
    assert "dataset" not in shown.doc
    assert faults(shown.doc) == []
    assert us.running.node.directory.bpn_of(THEM) in BPNS
