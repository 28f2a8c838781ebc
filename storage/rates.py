"""The dated tables of penalties in force. The one place that accruals ask, so that reference data can be added here."""

from engine.penalty import PenaltyTerms
from engine.rates import TERMS


async def penalty_terms(database_url: str) -> PenaltyTerms:
    """Return key rates, caps and moratoria: those that the program knows as facts of law."""
    return TERMS
