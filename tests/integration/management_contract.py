"""Answers are compared with the OpenAPI file: path, status, headers and body.

So no test of the management API can pass with an answer that the file does not promise.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonschema import Draft202012Validator

SPEC_FILE = Path(__file__).parents[2] / "docs" / "openapi" / "management.yaml"


class Reply(NamedTuple):
    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def error(self) -> dict[str, Any]:
        """The one error of an error answer."""
        assert isinstance(self.body, list)
        assert len(self.body) == 1, self.body
        found: dict[str, Any] = self.body[0]
        return found


@cache
def specification() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(SPEC_FILE.read_text(encoding="utf-8"))
    return document


def _resolved(doc: Any) -> Any:  # noqa: ANN401 - any JSON
    while isinstance(doc, dict) and "$ref" in doc:
        found: Any = specification()
        for part in doc["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        doc = found
    return doc


def _operation(method: str, path: str) -> dict[str, Any] | None:
    """The operation of the file that a request is; literal segments go before parameters."""
    matches = [
        item
        for template, item in specification()["paths"].items()
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in item
    ]
    literal = specification()["paths"].get(path)
    found: dict[str, Any] | None = (literal or (matches[0] if matches else {})).get(method.lower())
    return found


def assert_promised(method: str, path: str, reply: Reply) -> None:
    """The answer is one that the OpenAPI file promises."""
    operation = _operation(method, path)
    if operation is None:
        assert reply.status in (401, 404, 405), f"{method} {path} is not in the file"
        return
    responses = operation["responses"]
    response = _resolved(responses.get(str(reply.status)) or responses["default"])
    assert str(reply.status) in responses or reply.status not in range(200, 300), f"{method} {path}: {reply.status}"
    for name, header in response.get("headers", {}).items():
        assert name in reply.headers or not _resolved(header).get("required"), f"{method} {path}: no {name}"
    content = response.get("content")
    if content is None:
        assert reply.body is None
        return
    schema = {**content["application/json"]["schema"], "components": specification()["components"]}
    faults = [f"{e.json_path}: {e.message}" for e in Draft202012Validator(schema).iter_errors(reply.body)]
    assert not faults, f"{method} {path} -> {reply.status} {reply.body}: {faults}"
