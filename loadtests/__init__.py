"""Load tests: strangers speaking HTTP to a running system. Nothing of ours is imported here."""
