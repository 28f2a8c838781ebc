"""What our figures are measured against: the database's own ceiling, and what one would write instead of this."""
