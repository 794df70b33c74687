"""What a real EDC 0.14.1 did when our next message reached it before it had stored our answer, said to us again.

It answers 409, writes its older state back, and takes its last step once more: under a fresh `@id`, and as a provider
also with a fresh agreement. Found by `make interop`; an exchange must not end by it, and both sides must hold the same
agreement when it is over.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.dsp_world import DATED, USE, Reply, World, message, world


@pytest.fixture
async def us(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as there:
        yield there


async def during(us: World, kind: str, path: str, said: dict[str, Any]) -> Reply:
    """The answer to `said`, sent by the peer before it refuses our next message of a kind with 409, once."""
    replies: list[Reply] = []

    async def act(_: dict[str, Any]) -> None:
        if not replies:
            replies.append(await us.post(path, said))

    us.peer.before[kind] = act
    us.peer.answer(kind, 409)
    await us.peer.next(kind)
    await us.peer.next("GET")  # we look whether it was taken
    await us.peer.next(kind)
    return replies[0]


async def verifying(us: World) -> tuple[str, str, dict[str, Any]]:
    """As provider, an agreement of ours: our pid, and where a consumer sends which verification."""
    opened = await us.post("/negotiations/request", us.request(us.offer(await us.publish())))
    pid = opened.doc["providerPid"]
    await us.peer.next("ContractAgreementMessage")
    await us.settled(pid, "AGREED")
    said = message("ContractAgreementVerificationMessage", consumerPid="cp-1", providerPid=pid)
    return pid, f"/negotiations/{pid}/agreement/verification", said


async def test_a_verification_said_again_under_a_new_id_is_taken_once(us: World) -> None:
    pid, path, said = await verifying(us)
    assert (await us.post(path, said)).status == 200
    again = await during(us, "ContractNegotiationEventMessage", path, said | {"@id": "another"})
    assert again.status == 200
    await us.settled(pid, "FINALIZED")
    assert [e.what for e in (await us.negotiation(pid)).history].count("peer:VERIFY") == 1


async def test_a_verification_after_the_end_is_illegal(us: World) -> None:
    pid, path, said = await verifying(us)
    assert (await us.post(path, said)).status == 200
    await us.settled(pid, "FINALIZED")
    assert (await us.post(path, said | {"@id": "another"})).status == 400


async def agreeing(us: World) -> tuple[str, str, dict[str, Any]]:
    """As consumer, a request of ours: our pid, and where a provider sends which agreement."""
    pid = await us.ask_for()
    await us.settled(pid, "REQUESTED")
    return pid, f"/negotiations/{pid}/agreement", us.agreement(pid)


@pytest.mark.parametrize("same_message_id", [True, False])
async def test_an_agreement_made_anew_takes_the_place_of_the_first(us: World, same_message_id: bool) -> None:
    pid, path, said = await agreeing(us)
    anew = us.agreement(pid, USE, **{"@id": "anew"}) | ({"@id": said["@id"]} if same_message_id else {})
    assert (await us.post(path, said)).status == 200
    assert (await during(us, "ContractAgreementVerificationMessage", path, anew)).status == 200
    await us.settled(pid, "VERIFIED")
    found = await us.negotiation(pid)
    assert found.agreement_id == "anew"
    assert [agreement.id for agreement in (await us.everything())["agreements"]] == ["anew"]
    assert f"in the place of agreement agreement-{pid}" in [e.detail for e in found.history]


async def test_an_agreement_made_anew_has_to_be_the_offer_too(us: World) -> None:
    pid, path, said = await agreeing(us)
    assert (await us.post(path, said)).status == 200
    other = us.agreement(pid, DATED, **{"@id": "anew"})
    refused = await during(us, "ContractAgreementVerificationMessage", path, other)
    assert (refused.status, "departs from the offer" in refused.told) == (400, True)
    assert (await us.negotiation(pid)).agreement_id == f"agreement-{pid}"


async def test_what_has_been_verified_is_not_agreed_anew(us: World) -> None:
    pid, path, said = await agreeing(us)
    assert (await us.post(path, said)).status == 200
    await us.settled(pid, "VERIFIED")
    assert (await us.post(path, us.agreement(pid, USE, **{"@id": "anew"}))).status == 400
    assert (await us.negotiation(pid)).agreement_id == f"agreement-{pid}"


async def test_a_server_that_is_still_starting_has_refused_nothing(us: World) -> None:
    us.peer.answer("ContractAgreementMessage", 405, "<html>HTTP method POST is not supported by this URL</html>")
    opened = await us.post("/negotiations/request", us.request(us.offer(await us.publish())))
    first = await us.peer.next("ContractAgreementMessage")
    assert (await us.peer.next("ContractAgreementMessage")).doc == first.doc
    await us.settled(opened.doc["providerPid"], "AGREED")
