"""A page as a program reads it: elements in order, with their attributes and text."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

BLOCKS = {
    "td",
    "th",
    "li",
    "dt",
    "dd",
    "p",
    "h1",
    "h2",
    "h3",
    "caption",
    "summary",
    "figcaption",
    "text",
    "span",
}
VOID = {"wbr", "meta", "link", "img", "br", "input", "hr", "use", "path", "rect"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parents: list[Element] = field(default_factory=list, repr=False)
    text: str = ""


class Page(HTMLParser):
    """Elements of a document; raises AssertionError where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        assert not self._open, self._open

    def handle_starttag(self, tag, attributes):
        element = Element(tag, {name: value or "" for name, value in attributes}, list(self._open))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)
        elif tag == "br":
            self.handle_data(" ")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()
        if tag in BLOCKS:
            self.handle_data(" ")

    def handle_data(self, data):
        for element in self._open:
            element.text += data

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    def section(self, name: str) -> str:
        """Text of the section with this id, with single spaces."""
        found = [one for one in self.all("section") if one.attributes.get("id") == name]
        assert len(found) == 1
        return " ".join(found[0].text.split())
