"""The command line: `kopeck` and its commands. It starts things, shows things and loads the demonstration region.

Business rules live elsewhere; a command reads its arguments, calls one thing, prints what came of it.
"""
