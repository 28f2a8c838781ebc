"""Every maximum of the domain, named once. Deployment limits (queues, batches) are in `actors/settings.py`."""

PAYMENT_KOPECKS_MAX = 10_000_000_000
"""One payment: 100 million roubles. Larger is a typing error or an attack, never a household."""

LINE_KOPECKS_MAX = 10**15
"""One charge line; the ledger's columns are 64-bit."""

ACCOUNT_CHARS_MAX = 64
TXN_ID_CHARS_MAX = 64
SOURCE_CHARS_MAX = 32
CODE_CHARS_MAX = 32
TEXT_CHARS_MAX = 256
MASTER_TEXT_CHARS_MAX = 500

LINES_PER_DOCUMENT_MAX = 64
EARMARK_LINES_MAX = 32
OPEN_ITEMS_MAX = 4096
"""Open items of one account: 30 services for ten years. Beyond it an import is broken, and splitting would crawl."""

ACCEPTED_AT_FUTURE_US_MAX = 24 * 3600 * 1_000_000
"""A sender's clock or time zone may be wrong by a day, not more."""

ACCEPTED_AT_PAST_US_MAX = 3 * 366 * 24 * 3600 * 1_000_000
"""Three years, the general limitation period (ГК РФ ст. 196)."""

LIMITATION_YEARS = 3
"""ГК РФ ст. 196: general limitation; used to compute `time_barred_before`."""

assert PAYMENT_KOPECKS_MAX < LINE_KOPECKS_MAX < 2**63
