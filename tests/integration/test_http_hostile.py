"""What a stranger or a partner may send, and what comes of it: nothing (docs/threat-model.md)."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.processors import JSONRenderer
from structlog.testing import capture_logs
from yarl import URL

from connector.exchange.query import MAX_CRITERIA
from connector.policy.parse import MAX_NODES
from tests.integration.dsp_world import STRANGER, USE, Reply, World, message, world

NAMESPACE = "https://w3id.org/edc/v0.0.1/ns/"
QUOTES = (
    "'",
    '"',
    "`",
    "';--",
    "' OR '1'='1",
    "x'); DROP TABLE asset; --",
    "%27",
    "\\",
    ":peer",
    "?1",
    "$1",
    "{}",
    "%s",
)


@pytest.fixture
async def us(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as there:
        yield there


async def filtered(us: World, *criteria: dict[str, Any], **more: object) -> Reply:
    query = {"@type": "QuerySpec", "filterExpression": list(criteria), **more}
    return await us.post("/catalog/request", message("CatalogRequestMessage", filter=[query]))


def criterion(left: str, operator: str, right: object) -> dict[str, object]:
    return {"operandLeft": left, "operator": operator, "operandRight": right}


# SQL


@pytest.mark.parametrize("quotes", QUOTES)
async def test_no_text_of_a_peer_becomes_sql(us: World, quotes: str) -> None:
    await us.publish()
    for operator in ("=", "!=", "<", "like", "in"):
        right: object = [quotes] if operator == "in" else quotes
        for left in (f"{NAMESPACE}id", f"{NAMESPACE}{quotes}", f"'{NAMESPACE}id'.'{quotes}'"):
            answer = await filtered(us, criterion(left, operator, right))
            assert answer.status in (200, 400), answer.body
            found = answer.doc.get("dataset", []) if answer.status == 200 else []
            assert not found or operator in ("!=", "<")
    for path in ("negotiations", "transfers", "catalog/datasets"):
        url = URL(f"{us.base}/{path}", encoded=True) / quotes
        assert (await us.get(str(url))).status == 404
    assert (await filtered(us)).doc["dataset"][0]["@id"] == "asset-1"  # nothing has been dropped


async def test_a_filter_has_so_many_criteria(us: World) -> None:
    """Each makes the statement longer, and every shape of a statement is kept for a while."""
    many = [criterion(f"{NAMESPACE}p{number}", "=", "x") for number in range(MAX_CRITERIA + 1)]
    assert (await filtered(us, *many[1:])).status == 200
    refused = await filtered(us, *many)
    assert refused.status == 400
    assert f"at most {MAX_CRITERIA} criteria" in refused.told


@pytest.mark.parametrize("number", [2**31, 2**62, 2**63 - 1, 2**63, 2**64, 10**30, -1, 1.5, True])
async def test_numbers_beyond_the_database_are_refused_or_find_nothing(us: World, number: float) -> None:
    for more in ({"offset": number}, {"limit": number}):
        assert (await filtered(us, **more)).status in (200, 400)
    assert (await filtered(us, criterion(f"{NAMESPACE}n", ">", number))).status in (200, 400)


# Policies


async def test_a_policy_has_so_many_parts(us: World) -> None:
    """A message may have a megabyte; what is compared, measured and kept for good must be far smaller."""
    rule = {"action": "use"}
    offer = us.offer(await us.publish(), terms={"permission": [rule] * (MAX_NODES + 1)})
    refused = await us.post("/negotiations/request", us.request(offer))
    assert (refused.status, refused.doc["code"]) == (400, "400")
    assert f"more than {MAX_NODES} parts" in refused.told


# Logs and metrics


async def test_a_strangers_words_stay_short_and_inside_their_line_of_the_log(us: World) -> None:
    """A path or an id may hold line ends, escape sequences, and the look of an entry of ours (CWE-117)."""
    forged = '\r\n{"event": "ready", "level": "info"}\x1b[2J\x7f\u2028'
    with capture_logs() as entries:
        await us.get(str(URL(us.base) / f"negotiations{forged}"), headers={"X-Request-ID": "x" * 500})
        await us.get("/negotiations/x", as_=f"them{forged}")
        await us.post("/catalog/request", message("CatalogRequestMessage", filter=[{"sortField": forged}]))
        await us.get(f"/{'long' * 1000}", as_=None)
    refused = [dict(entry) for entry in entries if entry["event"] == "request refused"]
    assert len(refused) == 4
    for entry in refused:
        line = JSONRenderer(default=str)(None, "", entry)
        assert isinstance(line, str)
        assert line.isascii()
        assert line.isprintable()
        assert len(entry["path"]) <= 500


async def test_strangers_do_not_choose_the_labels_of_metrics(us: World) -> None:
    """One more value of a label is one more series for ever."""

    async def series() -> set[str]:
        async with us.session.get(f"{us.running.management.url}/metrics") as answer:
            return set(re.findall(r"^connector\w+(?:\{[^}]*\})?", await answer.text(), re.MULTILINE))

    async def knock(names: range) -> None:
        for number in names:
            who = f"name-{number}"
            await us.get(f"/negotiations/{who}", as_=who)
            await us.get(f"/{who}/{who}?{who}={who}", as_=who)
            await us.ask(("PROPFIND", "REPORT", "MKCOL")[number % 3], "/negotiations/x", as_=STRANGER)
            async with us.session.get(f"{us.running.public.url}/public/{who}", headers={"Authorization": who}) as pull:
                assert pull.status == 403
            await us.post("/catalog/request", message(f"Type{number}"), as_=who)

    await series()
    await knock(range(1))
    before = await series()
    await knock(range(1, 15))
    assert await series() == before


# Errors


async def test_a_refusal_repeats_neither_markup_nor_tokens(us: World) -> None:
    offer = us.offer("<script>alert(1)</script>", terms=USE)
    for reply in (
        await us.post("/negotiations/request", us.request(offer)),
        await us.get("/%3Cscript%3Ealert(1)%3C/script%3E", as_="<script>"),
        await us.get("/negotiations/x", as_=None, headers={"Authorization": "Bearer <script>secret</script>"}),
    ):
        assert reply.status in (400, 401, 404)
        assert reply.headers["Content-Type"].startswith("application/json")
        assert b"<script>" not in reply.body
        assert b"secret" not in reply.body


async def test_what_a_proxy_is_said_to_have_told_is_not_believed(us: World) -> None:
    """Nothing is decided by fields that anybody can write."""
    headers = {
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "https",
        "Forwarded": "for=127.0.0.1",
        "X-Original-URL": "/management/v3/assets/request",
        "X-Rewrite-URL": "/management/v3/assets/request",
        "X-HTTP-Method-Override": "DELETE",
        "Edc-Bpn": "BPNL00000000THEM",
        "Host": "management.internal",
    }
    answer = await us.get("/negotiations/x", as_=None, headers=headers)
    assert (answer.status, answer.doc["@type"]) == (401, "ContractNegotiationError")
    versions = await us.get(f"{us.root}/.well-known/dspace-version", as_=None, headers=headers)
    assert b"management.internal" not in versions.body
