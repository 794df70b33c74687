"""Properties of reading: any spelling of a message reads the same, and whatever a stranger sends is read or refused."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connector.protocol.errors import Invalid, PeerError
from connector.protocol.vocabulary import CONTEXT, DCT, EDC
from connector.semantics.contexts import CONTEXTS
from connector.semantics.jsonld import read_message
from connector.semantics.management import EDC_CONTEXT, compact_properties, read_document
from connector.semantics.operands import operand_path

NAMESPACES = {
    "dspace:": "https://w3id.org/dspace/2025/1/",
    "odrl:": "http://www.w3.org/ns/odrl/2/",
    "dct:": "http://purl.org/dc/terms/",
}
PREFIX = {
    **dict.fromkeys(["consumerPid", "providerPid", "callbackAddress", "offer", "agreement", "eventType"], "dspace:"),
    **dict.fromkeys(["dataAddress", "endpoint", "endpointType", "endpointProperties", "name", "value"], "dspace:"),
    **dict.fromkeys(["agreementId", "code", "reason"], "dspace:"),
    **dict.fromkeys(["permission", "prohibition", "action", "constraint", "and", "leftOperand", "operator"], "odrl:"),
    **dict.fromkeys(["rightOperand", "target", "assigner", "use", "eq", "isAnyOf", "Offer", "Agreement"], "odrl:"),
    "format": "dct:",
}
IDENTIFIERS = {"consumerPid", "providerPid", "agreementId", "target", "assigner"}
VOCABULARY = {"action", "leftOperand", "operator", "format", "endpointType"}
INLINE = {prefix[:-1]: iri for prefix, iri in NAMESPACES.items()}

words = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True)
texts = st.text(min_size=1, max_size=12)
atoms = st.fixed_dictionaries(
    {"leftOperand": words, "operator": st.sampled_from(["eq", "isAnyOf"]), "rightOperand": texts | st.integers()}
)
constraints = atoms | st.fixed_dictionaries({"and": st.lists(atoms, min_size=1, max_size=3)})
rules = st.fixed_dictionaries({"action": st.just("use"), "constraint": st.lists(constraints, min_size=1, max_size=2)})
offers = st.fixed_dictionaries(
    {"@id": words, "@type": st.just("Offer"), "target": words, "permission": st.lists(rules, min_size=1, max_size=2)},
    optional={"assigner": words, "prohibition": st.lists(rules, min_size=1, max_size=2)},
)
addresses = st.fixed_dictionaries(
    {
        "@type": st.just("DataAddress"),
        "endpointType": words,
        "endpoint": texts,
        "endpointProperties": st.lists(
            st.fixed_dictionaries({"@type": st.just("EndpointProperty"), "name": texts, "value": texts}), min_size=1
        ),
    }
)
messages = st.fixed_dictionaries(
    {
        "@context": st.just(CONTEXT),
        "@type": st.just("ContractRequestMessage"),
        "consumerPid": words,
        "callbackAddress": texts,
        "offer": offers,
    }
) | st.fixed_dictionaries(
    {
        "@context": st.just(CONTEXT),
        "@type": st.just("TransferRequestMessage"),
        "consumerPid": words,
        "agreementId": words,
        "format": words,
        "dataAddress": addresses,
    }
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
KEYWORDS = "@id @type @value @list @set @graph @reverse @language @context @vocab @json @nest"
MEMBERS = (
    "policy properties dataAddress querySpec assetsSelector filterExpression operandLeft a a:b edc:policy "
    "odrl:permission leftOperand action profile dataset filter "
    "consumerPid dspace:consumerPid offer reason rightOperand format type uid"
)
names = st.sampled_from([*KEYWORDS.split(), *MEMBERS.split(), f"{EDC}properties"])
urls = st.sampled_from(sorted(CONTEXTS))
definitions = st.dictionaries(
    names | st.just("@version"),
    st.sampled_from(["@id", "@type", "edc:a", "a:b", EDC, "x", "1.1"])
    | st.none()
    | st.dictionaries(
        st.sampled_from(["@id", "@type", "@container", "@context", "@reverse"]), names | urls, max_size=3
    ),
    max_size=4,
)
contexts = st.none() | urls | definitions | st.lists(urls | definitions, max_size=3)
hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["odrl:use", "x", "@id", "edc:a", "urn:x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=15,
)
documents = st.builds(
    lambda body, context: {**body, "@context": context}, st.dictionaries(names, hostile, max_size=5), contexts
)
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def respelled(value: Any, data: st.DataObject, key: str = "") -> Any:  # noqa: ANN401 - any JSON
    """Write a plain message as another JSON-LD peer might."""
    if isinstance(value, dict):
        out = {spelled(k, data): v if k == "@context" else respelled(v, data, k) for k, v in value.items()}
        return [out] if key and data.draw(st.booleans()) and key in {"offer", "dataAddress"} else out
    if isinstance(value, list):
        items = [respelled(item, data) for item in value]
        return items[0] if len(items) == 1 and data.draw(st.booleans()) else items
    if key == "@type":
        return data.draw(st.sampled_from([value, [value]]))
    if key in IDENTIFIERS:
        return data.draw(st.sampled_from([value, {"@id": value}, [value]]))
    if key in VOCABULARY:
        word = spelled(value, data)
        return data.draw(st.sampled_from([word, {"@id": word}]))
    return {"@value": value} if key not in {"", "@id"} and data.draw(st.booleans()) else value


def spelled(name: str, data: st.DataObject) -> str:
    prefix = PREFIX.get(name)
    if prefix is None:
        return name
    return data.draw(st.sampled_from(["", prefix, NAMESPACES[prefix]])) + name


@given(messages, st.data())
@quick
def test_every_spelling_reads_as_the_plain_message(message: dict[str, Any], data: st.DataObject) -> None:
    assert read_message(respelled(message, data)) == message


@given(messages, st.data())
@settings(quick, max_examples=40)
def test_every_spelling_reads_the_same_through_the_full_processor(message: dict[str, Any], data: st.DataObject) -> None:
    spelling = {**respelled(message, data), "@context": [*CONTEXT, INLINE]}
    assert read_message(spelling) == message


@given(messages)
@quick
def test_reading_twice_changes_nothing(message: dict[str, Any]) -> None:
    once = read_message(message)
    assert read_message(once) == once


@given(documents | json_values)
@example({"@context": CONTEXT, "@type": {"@value": ["x"]}})
@settings(quick, max_examples=300)
def test_a_stranger_is_read_or_refused(doc: object) -> None:
    with suppress(PeerError):
        assert json.dumps(read_message(doc))


@given(documents | json_values)
@settings(quick, max_examples=300)
def test_a_client_is_read_or_refused(doc: object) -> None:
    with suppress(Invalid):
        assert json.dumps(read_document(doc))


keys = st.sampled_from(["name", "id", "ü", "dct:type", "edc:x", "asset:prop:type", "https://example.org/a#b"])
literals = st.text(max_size=8) | st.integers(-(2**53), 2**53) | st.booleans()
references = st.fixed_dictionaries({"@id": st.sampled_from(["dct:x", "urn:a", "relative", "https://example.org/"])})
values: st.SearchStrategy[Any] = st.recursive(
    literals | references,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, min_size=1, max_size=3),
    max_leaves=6,
)
bodies = st.dictionaries(keys, values, max_size=4)
PROCESSOR = {"unused": {"@reverse": "dct:isPartOf"}, "dct": DCT}


@given(bodies)
@settings(quick, max_examples=100)
def test_properties_by_hand_are_those_of_the_full_processor(body: dict[str, Any]) -> None:
    """But for keys with blanks: the processor drops them, for they make no IRI; read by hand they stay."""
    by_hand = read_document({"@context": {"dct": DCT}, "@id": "a", "properties": body})
    assert read_document({"@context": PROCESSOR, "@id": "a", "properties": body}) == by_hand


@given(bodies | bodies.map(lambda body: {"a b": body}))
@quick
def test_properties_come_back_from_an_answer(body: dict[str, Any]) -> None:
    properties = read_document({"properties": body})["properties"]
    again = read_document({"@context": EDC_CONTEXT, "properties": compact_properties(properties)})
    assert again["properties"] == properties


@given(st.text(max_size=12) | st.from_regex(r"('[^']*'|[a-z:@]*)(\.('[^']*'|[a-z:@]*))*", fullmatch=True))
@quick
def test_an_operand_is_read_or_refused(left: str) -> None:
    with suppress(Invalid):
        path = operand_path(left)
        assert path
        assert all(path)


@given(bodies)
@quick
def test_a_quoted_key_is_found_where_it_is_stored(body: dict[str, Any]) -> None:
    stored = read_document({"properties": body})["properties"]
    assert all(operand_path(f"'{key}'") == (key,) for key in stored)
    assert all(operand_path(key)[0] in stored for key in body)
