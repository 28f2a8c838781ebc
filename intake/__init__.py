"""What files mean: profiles, readers and checks turn a billing's or a bank's bytes into rows, and rows into commands.

Pure, like the engine: bytes and profiles in, rows and findings out; no database, no network, no clock. Who keeps the
files, stages the rows and posts them is `actors` over `storage`.
"""
