"""Gateways: the HTTP doors. Bytes become commands, outcomes become replies in the caller's own protocol and language.

Nothing is decided here and nothing is stored here; a gateway may be killed at any moment. Shards are reached through
`actors.client` only.
"""
