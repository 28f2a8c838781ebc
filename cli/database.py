"""The database of an installation for commands that need nothing else: the running one's, or one started for them."""

from collections.abc import Iterator
from contextlib import contextmanager

from actors import run_file
from actors.settings import Settings
from storage.embedded import EmbeddedPostgres


@contextmanager
def database_for(settings: Settings) -> Iterator[str]:
    """Give a block the database's URL; an embedded server started for it is stopped after it.

    The running system's own word comes first: it may have been started with a database that this program's settings
    do not name.
    """
    run = run_file.read(settings.home)
    url = run.database_url if run is not None else settings.database_url
    if url:
        yield url
        return
    server = EmbeddedPostgres(settings.home)
    url = server.start()
    try:
        yield url
    finally:
        server.stop()
