"""RFC 8785 over generated values: one value, one sequence of bytes."""

import json
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.passport.canonical import MAX_SAFE_INTEGER, canonical, parse
from connector.protocol.errors import Invalid

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
texts = st.text(st.characters(exclude_categories=["Cs"]))
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5))


def shuffled(value: object, order: random.Random) -> object:
    if isinstance(value, dict):
        members = [(name, shuffled(item, order)) for name, item in value.items()]
        order.shuffle(members)
        return dict(members)
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@unhurried
@given(values)
def test_canonical_form_reads_back_as_the_same_value(value: object) -> None:
    assert parse(canonical(value)) == value
    assert json.loads(canonical(value), parse_int=float) == value  # as ECMAScript reads it


@unhurried
@given(values)
def test_canonical_form_of_the_canonical_form_is_itself(value: object) -> None:
    once = canonical(value)
    assert canonical(parse(once)) == once


@unhurried
@given(values, st.randoms(use_true_random=False))
def test_member_order_does_not_change_the_bytes(value: object, order: random.Random) -> None:
    assert canonical(shuffled(value, order)) == canonical(value)


@unhurried
@given(values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_spelling_on_the_way_does_not_change_the_bytes(
    value: object, indent: int | str | None, ascii_only: bool
) -> None:
    travelled = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    assert canonical(parse(travelled)) == canonical(value)


@unhurried
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_is_written_so_that_it_reads_back_exactly(number: float) -> None:
    written = canonical(number).decode()
    assert float(written) == number
    assert "E" not in written
    assert not written.endswith(".0")
    if 1e-6 <= abs(number) < 1e21:
        assert "e" not in written
    elif number:
        assert "e" in written


@unhurried
@given(st.integers(-(10**30), 10**30))
def test_an_integer_is_kept_exactly_or_refused(number: int) -> None:
    text = str(number)
    try:
        value = parse(text.encode())
    except Invalid:
        assert abs(number) > MAX_SAFE_INTEGER
        return
    assert canonical(value) == text.encode()
