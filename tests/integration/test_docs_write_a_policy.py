"""The page about policies says what the commands do: each block of docs/how-to/write-a-policy.md runs here."""

import asyncio
import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from connector.cli import main
from connector.policy.templates import templates
from connector.policy.vocabulary import profile
from tests.integration.management_world import KEY, World, world
from tests.unit.docs_pages import blocks, read

PAGE = read("docs/how-to/write-a-policy.md")
BLOCKS = blocks(PAGE)


async def run(here: World, command: str) -> Result:
    words = shlex.split(command)
    assert words[0] == "connector"
    environment = {"CONNECTOR_URL": f"{here.listener.url}/management", "CONNECTOR_API_KEY": KEY}
    return await asyncio.to_thread(CliRunner().invoke, main, words[1:], env=environment)


async def test_the_page_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (policy,) = [block.content for block in BLOCKS if block.language == "json"]
    (tmp_path / "policy.json").write_text(policy)
    consoles = "".join(block.content for block in BLOCKS if block.language == "console")
    check, explain, curl, group = (line for line in consoles.splitlines() if line.startswith("$ "))
    (shown,) = [block.content for block in BLOCKS if block.language == "text"]
    async with world() as here:
        done = await run(here, check[2:])
        assert (done.exit_code, f"{check}\n{done.stdout}") == (0, BLOCKS[1].content)
        done = await run(here, explain[2:])
        assert (done.exit_code, done.stdout.startswith(shown)) == (1, True), done.stdout
        verdicts = [line for line in done.stdout.splitlines() if line.startswith("/permission")]
        assert len(verdicts) == 6
        assert [word in " ".join(verdicts) for word in ("met", "unknown", "legal", "later")] == [True] * 4
        body = shlex.split(curl)[shlex.split(curl).index("-d") + 1]
        denied = await run(here, group[2:])
        assert denied.exit_code == 1
        assert (await here.at("POST", "/management/v3/business-partner-groups", json.loads(body))).status == 204
        done = await run(here, group[2:])
        assert done.exit_code == 0, done.output
        assert "groups       authorities" in done.stdout


def test_every_template_and_every_checked_operand_is_on_the_page() -> None:
    for template in templates():
        assert f"| `{template.name}` |" in PAGE
    for name, entry in profile().items():
        assert (f"`{name.partition('.')[0]}`" in PAGE) or not entry["enforced"], name


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_templates_and_checks_need_no_node(options: list[str]) -> None:
    listed = CliRunner().invoke(main, ["policy", "templates", *options])
    assert listed.exit_code == 0
    for template in templates():
        assert template.name in listed.stdout
        one = CliRunner().invoke(main, ["policy", "templates", template.name, *options])
        assert '"permission"' in one.stdout
        assert CliRunner().invoke(main, ["policy", "check", template.name, *options]).exit_code == 0
    assert CliRunner().invoke(main, ["policy", "templates", "nonesuch", *options]).exit_code == 1
    for asked in ("templates", "check"):
        refused = CliRunner().invoke(main, ["policy", asked, "nonesuch"])
        assert refused.exit_code == 1
        assert "nonesuch" in refused.stderr
        assert "reinstall" not in refused.stderr


def test_a_policy_that_nobody_can_check_ends_with_1(tmp_path: Path) -> None:
    file = tmp_path / "odd.json"
    mood = {"leftOperand": "Mood", "operator": "eq", "rightOperand": 1}
    file.write_text(json.dumps({"permission": [{"action": "use", "constraint": mood}]}))
    done = CliRunner().invoke(main, ["policy", "check", str(file)])
    assert done.exit_code == 1
    assert "error   /permission/0/constraint/0: " in done.stdout
    file.write_text("[]")
    assert CliRunner().invoke(main, ["policy", "check", str(file)]).exit_code == 2
