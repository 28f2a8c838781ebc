"""Addresses that a contract admits: its networks, seen through our own proxies."""

import ipaddress
from collections.abc import Iterable

_KNOWN_MAX = 4096

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def read_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read networks in CIDR form. Errors: ValueError for what is none, or has bits set beyond its prefix."""
    return tuple(ipaddress.ip_network(text) for text in texts)


class AllowList:
    """Tells whether an address is one of the contract's. No networks at all admit every address."""

    def __init__(self, networks: Iterable[str], trusted_proxies: Iterable[str] = ()) -> None:
        self._networks = read_networks(networks)
        self._proxies = read_networks(trusted_proxies)
        self._admitted: dict[str, bool] = {}

    def admits(self, remote: str, forwarded_for: str) -> bool:
        """Tell it of a peer's address and of the `X-Forwarded-For` that came with the request."""
        if not self._networks:
            return True
        key = f"{remote} {forwarded_for}" if self._proxies else remote
        known = self._admitted.get(key)
        if known is None:
            if len(self._admitted) >= _KNOWN_MAX:
                self._admitted.clear()
            known = self._admitted[key] = _is_in(self._client(remote, forwarded_for), self._networks)
        return known

    def _client(self, remote: str, forwarded_for: str) -> str:
        """The address that the nearest proxy saw, if that proxy is ours; else the peer itself."""
        if forwarded_for and _is_in(remote, self._proxies):
            return forwarded_for.rpartition(",")[2].strip()
        return remote


def _is_in(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None) or ip
    return any(mapped in network for network in networks)
