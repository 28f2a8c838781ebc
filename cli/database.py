"""The database of an installation for commands that need nothing else: the running one's, or one started for them."""

from collections.abc import Iterator
from contextlib import contextmanager

from actors import run_file
from actors.settings import Settings
from storage.embedded import EmbeddedPostgres


@contextmanager
def database_for(settings: Settings) -> Iterator[str]:
    """Give a block the database's URL; an embedded server started for it is stopped after it."""
    if settings.database_url:
        yield settings.database_url
        return
    server = EmbeddedPostgres(settings.home)
    was_running = run_file.read(settings.home) is not None
    url = server.start()
    try:
        yield url
    finally:
        if not was_running:
            server.stop()
