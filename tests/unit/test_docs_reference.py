"""What the pages of the reference show is what happens: errors, callbacks, strategies, data addresses."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
import yaml
from aiohttp.test_utils import make_mocked_request
from jsonschema import Draft202012Validator

from connector.exchange import negotiate
from connector.exchange.publish import PASSPORT_STORE
from connector.exchange.records import CallbackAddress
from connector.exchange.strategy import Act, Decision, NegotiationStrategy, NegotiationView
from connector.http.management import SOURCE_TYPES, border
from connector.policy.circumstances import Counterparty
from connector.policy.evaluate import Verdict
from connector.policy.model import Policy
from connector.protocol import negotiation
from connector.protocol.errors import LocalError, PeerError
from connector.protocol.process import Role
from tests.integration.exchange_world import World, world
from tests.unit.docs_pages import blocks, read

EVENTS, ERRORS, PLUG_INS = (read(f"docs/reference/{name}") for name in ("events.md", "errors.md", "plug-ins.md"))
EXAMPLES = {(b.language, b.name): b.content for b in blocks(EVENTS + ERRORS + PLUG_INS) if b.name}
REQUEST = make_mocked_request("GET", "/v3/assets")


def specification(surface: str) -> dict[str, Any]:
    return dict(yaml.safe_load(read(f"docs/openapi/{surface}.yaml")))


@pytest.mark.parametrize(
    ("surface", "schema"),
    [("management", "Errors"), ("dsp", "CatalogError"), ("data-plane", "Errors"), ("authority", "Errors")],
)
def test_an_error_that_is_shown_fits_its_schema(surface: str, schema: str) -> None:
    components = specification(surface)["components"]
    Draft202012Validator({**components["schemas"][schema], "components": components}).validate(
        orjson.loads(EXAMPLES["json", surface])
    )


def test_every_type_of_error_is_on_its_page() -> None:
    kinds = specification("management")["components"]["schemas"]["Errors"]["items"]["properties"]["type"]["enum"]
    assert [kind for kind in kinds if f"| `{kind}` |" not in ERRORS] == []


@pytest.mark.parametrize("status", [400, 401, 404, 405, 408, 413, 415])
def test_an_error_of_the_request_itself_has_the_type_that_the_page_says(status: int) -> None:
    answer = border.render(REQUEST, PeerError(status, "no"))
    assert isinstance(answer.body, bytes)
    (told,) = orjson.loads(answer.body)
    rows = [line for line in ERRORS.splitlines() if f"`{told['type']}`" in line]
    assert any(str(status) in row.split("|")[1] for row in rows)


def test_a_fault_of_the_node_has_the_type_that_the_page_says() -> None:
    answer = border.render(REQUEST, LocalError("no"))
    assert isinstance(answer.body, bytes)
    assert (answer.status, orjson.loads(answer.body)[0]["type"]) == (500, "InternalError")


def shape(doc: object) -> object:
    """The members of a document, without its values; of lists, those of their first element."""
    if isinstance(doc, dict):
        return {name: None if name == "properties" else shape(value) for name, value in doc.items()}
    return [shape(value) for value in doc[:1]] if isinstance(doc, list) else None


async def exchanged(w: World, hook: CallbackAddress) -> None:
    """A contract and a started pull, told to `hook` on the consumer's side."""
    await w.offer()
    record = await w.request(callbacks=(hook,))
    await w.transfer(await negotiate.agreement_of(w.consumer.node, record.id), callbacks=(hook,))


async def test_callbacks_are_as_they_are_shown() -> None:
    hook = CallbackAddress("http://erp.test/hook", ("contract.negotiation", "transfer.process"))
    async with world() as w:
        await exchanged(w, hook)
        got = {doc["type"]: doc for _, _, doc in w.consumer.hooks.got}
    for name in ("contract.negotiation.finalized", "transfer.process.started"):
        example = orjson.loads(EXAMPLES["json", name])
        told = got[example["type"]]
        assert shape(told) == shape(example), name
        if "dataAddress" in example["payload"]:
            shown = example["payload"]["dataAddress"]["properties"].keys()
            assert shown <= told["payload"]["dataAddress"]["properties"].keys()


async def test_a_callback_can_begin_with_any_part_of_a_name() -> None:
    hook = CallbackAddress("http://erp.test/hook", ("transfer.process.started",))
    async with world() as w:
        await exchanged(w, hook)
        assert [doc["type"] for _, _, doc in w.consumer.hooks.got] == ["TransferProcessStarted"]


def test_the_strategy_of_the_page_decides_as_it_says() -> None:
    names: dict[str, Any] = {}
    exec(EXAMPLES["python", "strategy"], names)  # noqa: S102 - our own page
    strategy: NegotiationStrategy = names["OnlyKnown"]()
    view = NegotiationView(
        role=Role.PROVIDER,
        state=negotiation.State.REQUESTED,
        event=negotiation.Event.REQUEST,
        ours=False,
        id="n-1",
        counterparty=Counterparty("did:web:oem.example", min(names["KNOWN"]), {}),
        offer=Policy(),
        terms=Policy(),
        difference=None,
        judge=lambda: Verdict(permitted=True, trace=()),
    )
    assert strategy.decide(view) == Decision(Act.AGREE)
    refused = strategy.decide(replace(view, counterparty=Counterparty("did:web:x.example", None, {})))
    assert (refused.act, refused.after_ms) == (Act.TERMINATE, 60_000)


def test_every_act_of_a_strategy_is_on_its_page() -> None:
    acts = [value for name, value in vars(Act).items() if name.isupper()]
    assert [act for act in acts if f"`{act}`" not in PLUG_INS] == []


def test_every_type_of_data_address_is_on_its_page() -> None:
    table = PLUG_INS.partition("## Data")[2].partition("\n## ")[0]
    assert PASSPORT_STORE in SOURCE_TYPES
    assert [kind for kind in SOURCE_TYPES if f"`{kind}`" not in table] == []
