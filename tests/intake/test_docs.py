"""The pages for integrators name every preset and every code, and the example is read as it stands."""

from intake.faults import Code
from intake.presets import CHARGES_CSV, PRESETS
from intake.rows import ChargeRow
from tests.architecture.source_tree import ROOT
from tests.intake.files import CANONICAL_HEADER, CANONICAL_ROW, text_items

PAGE = (ROOT / "docs" / "files.md").read_text()
IMPORTS = (ROOT / "docs" / "imports.md").read_text()
"""What only a billing's run can find, with the database at hand, is described there."""


def test_every_code_and_every_preset_is_described() -> None:
    names = [code.value for code in Code] + list(PRESETS)
    assert [name for name in names if f"`{name}`" not in PAGE + IMPORTS] == []


def test_the_example_on_the_page_is_read() -> None:
    example = f"{CANONICAL_HEADER}\n{CANONICAL_ROW}\n"
    assert example in PAGE
    assert isinstance(text_items(example, CHARGES_CSV)[0], ChargeRow)
