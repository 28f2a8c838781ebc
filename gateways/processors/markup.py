"""XML replies of the smaller dialects: flat elements, everything escaped, nothing before `<?xml`."""

from collections.abc import Iterable
from typing import Literal
from xml.sax.saxutils import escape

Encoding = Literal["utf-8", "windows-1251"]


def elements(pairs: Iterable[tuple[str, object]], indent: str = "  ") -> str:
    """Write elements, one a line; those whose content is None are left out."""
    return "".join(f"{indent}<{name}>{escape(str(text))}</{name}>\n" for name, text in pairs if text is not None)


def document(root: str, content: str, encoding: Encoding) -> bytes:
    """Write a whole document. Signs that the encoding lacks become character references."""
    declaration = f'<?xml version="1.0" encoding="{encoding}"?>'
    return f"{declaration}\n<{root}>\n{content}</{root}>\n".encode(encoding, "xmlcharrefreplace")


def headers_of(encoding: Encoding) -> dict[str, str]:
    """The HTTP headers of a document."""
    return {"Content-Type": f"text/xml; charset={encoding}"}
