"""The engine: what a payment means, in plain functions. State + command + now -> events; events -> state.

Nothing here reads, writes, waits or looks at a clock; it imports the standard library and msgspec only. Start with
`allocation.py` (the splitting rule), `decide.py` and `apply.py`.
"""
