"""What is taken from strangers, and how a refusal names its place."""

from typing import Any

import pytest

from connector.protocol import reading
from connector.protocol.errors import PeerError
from connector.protocol.vocabulary import DSPACE, ODRL


def pointer_of(fault: pytest.ExceptionInfo[PeerError]) -> str:
    assert fault.value.status == 400
    return fault.value.pointer


def test_pointers_are_escaped_as_rfc_6901_says() -> None:
    assert reading.at("/a", "b/c~d") == "/a/b~1c~0d"
    assert reading.at("", 3) == "/3"


@pytest.mark.parametrize("name", ["Offer", "odrl:Offer", f"{ODRL}Offer", ["Policy", "odrl:Offer"]])
def test_a_type_may_carry_its_namespace_or_be_one_of_a_list(name: object) -> None:
    assert reading.typed({"@type": name}, "Offer") == {"@type": name}


@pytest.mark.parametrize("doc", [{}, {"@type": "Agreement"}, {"@type": None}, {"@type": [7]}, {"@type": "x:Offer"}])
def test_another_type_is_refused_at_its_place(doc: object) -> None:
    with pytest.raises(PeerError, match="expected @type Offer") as fault:
        reading.typed(doc, "Offer", "/offer")
    assert pointer_of(fault) == "/offer/@type"


@pytest.mark.parametrize("doc", [None, [], "x", 7, True])
def test_what_is_no_object_is_refused(doc: object) -> None:
    with pytest.raises(PeerError, match="expected a JSON object") as fault:
        reading.obj(doc, "/offer")
    assert pointer_of(fault) == "/offer"


@pytest.mark.parametrize("value", ["x", {"@id": "x"}, {"@value": "x"}])
def test_a_text_may_be_wrapped(value: object) -> None:
    assert reading.text({"k": value}, "k") == "x"
    assert reading.optional_text({"k": value}, "k") == "x"


def test_an_absent_text_is_none_only_where_it_is_optional() -> None:
    assert reading.optional_text({}, "k") is None
    assert reading.optional_text({"k": None}, "k") is None
    with pytest.raises(PeerError, match="required") as fault:
        reading.text({}, "k", "/a")
    assert pointer_of(fault) == "/a/k"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (7, "expected a string"),
        (["x"], "expected a string"),
        ({"x": "y"}, "expected a string"),
        ({"@id": None}, "required"),
        ("", "must not be empty"),
        ("x" * 2049, "longer than 2048"),
        ("a\nb", "control"),
        ("a\x00", "control"),
        ("\x7f", "control"),
        ("\x85", "control"),
        ("\u2028", "control"),
        ("\ud800", "control"),
    ],
)
def test_a_text_is_short_visible_and_not_empty(value: object, why: str) -> None:
    with pytest.raises(PeerError, match=why) as fault:
        reading.text({"k": value}, "k")
    assert pointer_of(fault) == "/k"


def test_the_longest_text_is_taken() -> None:
    assert reading.text({"k": "ü" * 2048}, "k") == "ü" * 2048


@pytest.mark.parametrize("state", ["AGREED", "dspace:AGREED", f"{DSPACE}AGREED", {"@id": "dspace:AGREED"}])
def test_a_term_is_read_without_its_namespace(state: object) -> None:
    assert reading.one_of({"state": state}, "state", ["AGREED"]) == "AGREED"


def test_an_unknown_term_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(PeerError, match="expected one of AGREED, VERIFIED") as fault:
        reading.one_of({"state": "https://elsewhere.example/AGREED"}, "state", iter(["AGREED", "VERIFIED"]))
    assert pointer_of(fault) == "/state"


@pytest.mark.parametrize(
    ("doc", "expected"),
    [
        ({}, []),
        ({"k": None}, []),
        ({"k": []}, []),
        ({"k": {"a": 1}}, [({"a": 1}, "/p/k")]),
        ({"k": [{}, {"a": 1}]}, [({}, "/p/k/0"), ({"a": 1}, "/p/k/1")]),
    ],
)
def test_a_lone_object_counts_as_an_array(doc: dict[str, Any], expected: object) -> None:
    assert reading.objects(doc, "k", "/p") == expected


def test_what_is_no_object_in_an_array_is_refused_by_its_index() -> None:
    with pytest.raises(PeerError) as fault:
        reading.objects({"k": [{}, "x"]}, "k")
    assert pointer_of(fault) == "/k/1"


@pytest.mark.parametrize(
    ("code", "expected"),
    [("409", "409"), (409, "409"), ({"@value": 4.5}, "4.5"), (None, None), ("", None)],
)
def test_a_code_is_a_text_even_if_the_peer_sent_a_number(code: object, expected: str | None) -> None:
    assert reading.code({"code": code}) == expected


def test_a_code_of_another_kind_is_refused() -> None:
    with pytest.raises(PeerError) as fault:
        reading.code({"code": ["409"]})
    assert pointer_of(fault) == "/code"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [(None, ()), ([], ()), ("no", ("no",)), (["no", {"@value": "nein"}], ("no", {"@value": "nein"}))],
)
def test_reasons_stay_as_they_are(reason: object, expected: object) -> None:
    assert reading.reasons({"reason": reason}) == expected


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ((), ""),
        (("no", "never"), "no; never"),
        (({"@value": "nein", "@language": "de"},), "nein"),
        (({"why": ["it", None]}, 7), '{"why": ["it", null]}; 7'),
    ],
)
def test_a_reason_is_told_as_text_or_as_json(reason: tuple[object, ...], said: str) -> None:
    assert reading.told(reason) == said
