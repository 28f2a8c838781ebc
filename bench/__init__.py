"""The speed suite: our figures beside yardsticks, measured alternately in one run on one machine."""
