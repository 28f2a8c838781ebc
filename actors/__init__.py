"""Actors: where state lives and who may change it. Shards, the router to them, the supervisor, live notices, wiring.

Classes here are plain and tested without Ray; `classes.py` alone makes Ray actors of them. No HTTP, no SQL.
"""
