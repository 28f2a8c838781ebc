"""Reports: pure renderers, a frozen view in, bytes out. No queries, no clock, nothing decided.

Documents (payment documents, registers, debt lists, submissions) come here; their pools are in `actors`.
"""
