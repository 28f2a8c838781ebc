"""XML as a stream of events, by lxml, with everything that an attacker likes taken away.

Refused: a DOCTYPE in any form (so there are no entities, no external files, no bombs), nesting beyond the limit,
encodings that nobody sends us. Comments and processing instructions are dropped. lxml's own limits stay on: 10 million
characters of one text, and its guard against amplification. Nothing is ever fetched.
"""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from lxml import etree

from intake.faults import Code, FileRefused
from intake.profile import Encoding, Limits

_HEAD_BYTES = 1024
_DECLARED = re.compile(rb"(?:\xef\xbb\xbf)?<\?xml[^>]{1,100}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_ENCODINGS = {
    "utf-8": Encoding.UTF_8,
    "windows-1251": Encoding.CP1251,
    "cp1251": Encoding.CP1251,
    "cp866": Encoding.CP866,
    "ibm866": Encoding.CP866,
    "koi8-r": Encoding.KOI8_R,
    "us-ascii": Encoding.UTF_8,
    "ascii": Encoding.UTF_8,
}


def events(stream: BinaryIO, limits: Limits, declared: Encoding | None = None) -> Iterator[tuple[str, Any]]:
    """Return (`start` | `end`, element) in the order of the document. Errors: `FileRefused`.

    Rule: XML says its own encoding; when the profile names one too, they must agree.
    """
    head = stream.read(_HEAD_BYTES)
    parser = etree.iterparse(
        _Reread(head, stream),
        encoding=_encoding(head, declared).value,
        events=("start", "end"),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    depth = 0
    try:
        for event, element in parser:
            if event == "end":
                depth -= 1
            else:
                depth += 1
                if depth == 1:
                    _refuse_doctype(element)
                if depth > limits.xml_depth_max:
                    raise FileRefused(
                        Code.XML_FORBIDDEN, f"вложенность больше {limits.xml_depth_max}", element.sourceline
                    )
            yield event, element
    except etree.XMLSyntaxError as error:
        raise _refusal(error) from None


class _Reread:
    """A stream whose beginning has been read already."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int) -> bytes:
        """What lxml asks for."""
        head, self._head = self._head[:size], self._head[size:]
        return head or self._rest.read(size)


def _encoding(head: bytes, declared: Encoding | None) -> Encoding:
    """What a document says it is written in; lxml is told so, and finds nothing out by itself."""
    if b"\0" in head:
        raise FileRefused(Code.ENCODING, "XML в двухбайтовой кодировке не принимается")
    told = _DECLARED.match(head)
    name = told[1].decode("ascii") if told is not None else "utf-8"
    found = _ENCODINGS.get(name.lower())
    if found is None or (declared is not None and declared is not found):
        wanted = declared.value if declared else "UTF-8, windows-1251, cp866 или KOI8-R"
        raise FileRefused(Code.ENCODING, f"XML в кодировке {name[:20]}, а ждём {wanted}")
    return found


def _refuse_doctype(root: Any) -> None:
    document = root.getroottree().docinfo
    if document.internalDTD is not None or document.doctype:
        raise FileRefused(Code.XML_FORBIDDEN, "DOCTYPE не принимается", root.sourceline)


def _refusal(error: etree.XMLSyntaxError) -> FileRefused:
    text, line = str(error.msg or ""), error.lineno or 0
    if "ntity" in text or "DTD" in text or "DOCTYPE" in text:
        return FileRefused(Code.XML_FORBIDDEN, "сущности и DTD не принимаются", line)
    return FileRefused(Code.XML_SYNTAX, "XML построен неверно или оборван", line)


def local_name(element: Any) -> str:
    """The name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def namespace(element: Any) -> str:
    """The namespace of an element, or empty."""
    return str(element.tag).rpartition("}")[0].removeprefix("{")
