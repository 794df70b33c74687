"""The depth check agrees with walking the parsed document."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.http.body import parse_json
from connector.protocol.errors import PeerError

documents = st.recursive(
    st.none() | st.integers(0, 9) | st.text(alphabet='a"\\[]{}é\n', max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='"\\[{}a', max_size=3), inner),
    max_leaves=30,
)


def depth(document: object) -> int:
    if isinstance(document, dict):
        return 1 + max(map(depth, document.values()), default=0)
    if isinstance(document, list):
        return 1 + max(map(depth, document), default=0)
    return 0


@given(documents, st.integers(0, 6))
def test_documents_pass_exactly_up_to_the_limit(document: object, limit: int) -> None:
    body = orjson.dumps(document)
    if depth(document) <= limit:
        assert parse_json(body, max_depth=limit) == document
    else:
        with pytest.raises(PeerError, match="nested deeper"):
            parse_json(body, max_depth=limit)
