"""Where a reader of an export is: an opaque text that goes with every line and takes it up again right after it.

What it holds: which exports it is for; a position in the journal, shard by shard; and, inside one record, how many of
its lines were told. For `charges` and `payments` the position is how far the reader has come; for `accounts` and
`balances` it is the instant they are told for, and the account says how far; readings go by file and row.
"""

import base64
import binascii

import msgspec

from engine.ids import ShardId


class CursorInvalid(ValueError):
    """A text that is no cursor of ours, or of another export, or beyond the end of the ledger."""


class Cursor(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """After the record at `account` or `row`, or the last of `positions`.

    Shape: `positions` by shard. `lines` > 0: the record after that (of `shard`, for events) was told up to this line;
    for accounts it is the record at `account` itself.
    """

    kind: str
    positions: dict[ShardId, int] = {}
    account: str = ""
    shard: ShardId = ShardId(0)
    file: int = 0
    row: int = 0
    lines: int = 0

    def within(self, lines: int) -> "Cursor":
        """Return the cursor after the first lines of the record that this one stands after."""
        if not self.shard:
            return msgspec.structs.replace(self, lines=lines)
        before = self.positions | {self.shard: self.positions[self.shard] - 1}
        return msgspec.structs.replace(self, positions=before, lines=lines)

    def text(self) -> str:
        """Write the cursor as the opaque text that readers are given."""
        in_order = msgspec.structs.replace(self, positions=dict(sorted(self.positions.items())))
        return base64.urlsafe_b64encode(_encoder.encode(in_order)).decode().rstrip("=")


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Cursor)


def read_cursor(text: str, kind: str) -> Cursor:
    """Read a cursor of this kind: `events` (charges, payments), `accounts`, `balances` or `readings`.

    Rule: exactly what `Cursor.text` writes; base64 alone would read over foreign signs. Errors: `CursorInvalid`.
    """
    try:
        found = _decoder.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise CursorInvalid("not a cursor") from error
    numbers = (*found.positions, *found.positions.values(), found.file, found.row, found.lines, found.shard)
    if found.text() != text or found.kind != kind or min(numbers) < 0 or max(numbers) >= 2**63:
        raise CursorInvalid(f"not a cursor of {kind}")
    return found
