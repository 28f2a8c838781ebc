"""Storage: the journal and everything else in Postgres, and the embedded servers.

No driver's type or error leaves this package: callers see the engine's types and `errors.py`. Nothing is decided here.
"""
