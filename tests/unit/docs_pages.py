"""The pages of the documentation, as text: their blocks of code, their headings, their links."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?```(?P<language>\w+) ?(?P<name>[^\n]*)\n(?P<content>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_NO_LETTER = re.compile(r"[^\w\- ]")


class Block(NamedTuple):
    """Code on a page. `name` is what stands behind the language; `reason`: why it is not run, if it is not."""

    language: str
    name: str
    content: str
    reason: str


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def read(name: str) -> str:
    """A page by its path from the top of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    return [Block(b["language"], b["name"], b["content"], b["reason"] or "") for b in _BLOCK.finditer(text)]


def section(text: str, title: str) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return _FENCED.sub("", text)


def links(text: str) -> list[tuple[str, str]]:
    """(path, anchor) of every link that stays in the repository."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(text))
    return [(at.partition("#")[0], at.partition("#")[2]) for at in found if not re.match(r"\w+:", at)]


def anchors(text: str) -> set[str]:
    """What can stand after # in a link to this page: its headings, as GitHub makes anchors of them."""
    seen: dict[str, int] = {}
    made = set()
    for heading in re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = _NO_LETTER.sub("", plain.strip().lower()).replace(" ", "-")
        made.add(f"{slug}-{seen[slug]}" if slug in seen else slug)
        seen[slug] = seen.get(slug, 0) + 1
    return made


def quoted(text: str) -> Iterator[str]:
    """What stands in back quotes, in the prose of a page."""
    yield from re.findall(r"`([^`\n]+)`", prose(text))


def shown(expected: str) -> re.Pattern[str]:
    """What a page shows as an output: `...` stands for any text, alone in a line for any lines."""
    lines = expected.strip().splitlines()
    return re.compile(
        "\n".join(r"(?s:.*)" if line == "..." else ".*".join(map(re.escape, line.split("..."))) for line in lines)
    )
