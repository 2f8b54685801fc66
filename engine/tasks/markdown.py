"""The title of a Markdown document, and the text in it that is there to be read.

Front matter (YAML between --- or TOML between +++) is metadata and HTML comments are notes: neither is text to learn.
The title is the first heading, # or underlined, outside code blocks; else the front matter's title. It is not a whole
Markdown parser: headings inside quotes or lists are not looked for.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from engine.input_files.located_yaml import YamlProblemError, parse_located_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FRONT_MATTER = re.compile(r"\A(?P<fence>---|\+\+\+)[ \t]*\n(?P<body>.*?\n)??(?P=fence)[ \t]*(?:\n|\Z)", re.DOTALL)
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(?P<title>.*?)(?:[ \t]+#+)?[ \t]*")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*")
_NO_PARAGRAPH = re.compile(r"[ \t]*(?:$|[-*+>|]|\d+[.)]|#|={3,}|<)|    ")
_FENCE = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})(?P<info>.*)")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


def title_and_text(document: str) -> tuple[str | None, str]:
    """Return a document's title, None if it has none, and its text; a heading that opens it is not repeated there."""
    metadata, body = _front_matter(document)
    text = _without_comments(body)
    lines = text.splitlines(keepends=True)
    in_code = [inside for _, inside in _code_lines(lines)]
    for number in (place for place, inside in enumerate(in_code) if not inside):
        title, taken = _heading_at(lines, number, in_code)
        if title:
            opens = not "".join(lines[:number]).strip()
            return title, "".join(lines[number + taken :] if opens else lines).strip()
    title = metadata.get("title")
    return (title.strip() or None if isinstance(title, str) else None), text.strip()


def _front_matter(document: str) -> tuple[dict[str, Any], str]:
    """Return the metadata, empty if there is none or it cannot be read, and the rest."""
    match = _FRONT_MATTER.match(document)
    if match is None:
        return {}, document
    body, rest = match["body"] or "", document[match.end() :]
    try:
        data = tomllib.loads(body) if match["fence"] == "+++" else parse_located_yaml(body).data
    except (tomllib.TOMLDecodeError, YamlProblemError):
        return {}, document if match["fence"] == "---" and ":" not in body else rest
    if data is None:
        return {}, rest
    return (data, rest) if isinstance(data, dict) else ({}, document)  # a text between two rules is no metadata


def _heading_at(lines: Sequence[str], number: int, in_code: Sequence[bool]) -> tuple[str | None, int]:
    """Return the title of a heading that begins at a line, None if there is none, and how many lines it takes."""
    line = lines[number].rstrip("\r\n")
    heading = _HEADING.fullmatch(line)
    if heading:
        return heading["title"], 1
    after = number + 1
    begins = number == 0 or not lines[number - 1].strip()
    underlined = after < len(lines) and not in_code[after] and _UNDERLINE.fullmatch(lines[after].rstrip("\r\n"))
    if begins and underlined and not _NO_PARAGRAPH.match(line):
        return line.strip(), 2
    return None, 1


def _code_lines(lines: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Yield each line with whether it belongs to a fenced code block; the fences belong to it."""
    fence = ""
    for line in lines:
        match = _FENCE.fullmatch(line.rstrip("\r\n"))
        if fence:
            closes = match and match["fence"].startswith(fence) and not match["info"].strip()
            yield line, True
            fence = "" if closes else fence
        elif match and not ("`" in match["fence"] and "`" in match["info"]):
            fence = match["fence"]
            yield line, True
        else:
            yield line, False


def _without_comments(text: str) -> str:
    """Take HTML comments out, except in code blocks."""
    kept: list[str] = []
    plain: list[str] = []
    for line, inside in _code_lines(text.splitlines(keepends=True)):
        if inside:
            kept += [_COMMENT.sub("", "".join(plain)), line]
            plain = []
        else:
            plain.append(line)
    return "".join([*kept, _COMMENT.sub("", "".join(plain))])
