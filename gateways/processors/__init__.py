"""Processors: payment agents that speak protocols of their own. One internal port, a thin dialect for each protocol.

`port.py` is what an agent may ask (check, pay, status, cancel), in no protocol's words; `results.py` how it may end. A
dialect is a module here with one `DIALECT`: it parses and prints and decides nothing. Modules are found by themselves:
a new dialect needs no change elsewhere.
"""
