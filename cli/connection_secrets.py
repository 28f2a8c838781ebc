"""Secrets of connections: made at random, told once to the person who makes them, kept as digests."""

import secrets
from hashlib import sha256
from typing import NamedTuple

from cli.connection_settings import Settings, Unfit
from gateways.connections import JSON

_SECRET_BYTES = 24
_KEYS = "api_keys_sha256"
_PASSWORD = "basic_password_sha256"  # noqa: S105 - the name of a setting
_OLD_PASSWORD = "basic_password_old_sha256"  # noqa: S105


class Made(NamedTuple):
    """Settings with a new secret's digest in them, and what the sender must be told: once, now."""

    settings: Settings
    told: dict[str, str]


def made_at_random() -> str:
    """Return a new secret: long and random, so that its plain SHA-256 tells nothing of it."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def digest_of(secret: str) -> str:
    """Return the digest that is kept in place of a secret."""
    return sha256(secret.encode()).hexdigest()


def with_first_secret(settings: Settings, name: str, dialect: str) -> Made:
    """Give a new connection what its sender signs in with, unless that was given.

    Rule: a processor gets a Basic login and password; not where `basic_login` is given as empty: then its addresses or
    its signatures tell who it is.
    """
    if dialect == JSON:
        return Made(settings, {}) if settings.get(_KEYS) else _with_api_key(settings)
    settings = {"basic_login": name} | settings
    has_all = settings.get(_PASSWORD) or settings["basic_login"] == ""
    return Made(settings, {}) if has_all else _with_password(settings)


def with_new_secret(settings: Settings, dialect: str) -> Made:
    """Make a new secret, valid beside the old one. Errors: `Unfit` while two are valid."""
    if len(settings.get(_KEYS, ())) > 1 or settings.get(_OLD_PASSWORD):
        raise Unfit("an old and a new one are valid already: drop the old one first (rotate-key --finish)")
    return _with_api_key(settings) if dialect == JSON else _with_password(settings)


def without_old_secret(settings: Settings) -> Settings:
    """Drop the older of two valid secrets. Errors: `Unfit` where there is only one."""
    keys = settings.get(_KEYS, ())
    if len(keys) > 1:
        return settings | {_KEYS: keys[-1:]}
    if settings.get(_OLD_PASSWORD):
        return {name: value for name, value in settings.items() if name != _OLD_PASSWORD}
    raise Unfit("there is no old one to drop: only one is valid")


def _with_api_key(settings: Settings) -> Made:
    key = made_at_random()
    return Made(settings | {_KEYS: [*settings.get(_KEYS, ()), digest_of(key)]}, {"api_key": key})


def _with_password(settings: Settings) -> Made:
    password = made_at_random()
    old = {_OLD_PASSWORD: settings[_PASSWORD]} if settings.get(_PASSWORD) else {}
    return Made(
        settings | old | {_PASSWORD: digest_of(password)}, {"login": settings["basic_login"], "password": password}
    )
