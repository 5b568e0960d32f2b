"""The first of equal things by their digests, kept on disk: a folder may hold more files than memory has room for."""

import sqlite3

from ptdiff_datasets.clouds.names import encoded


class FirstSeen:
    """Names by digest, in a temporary database that removes itself; it keeps two megabytes in memory."""

    def __init__(self) -> None:
        # "" is a private file on disk; nobody else may see it, so there is nothing to protect from a crash
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, name BLOB) WITHOUT ROWID")

    def setdefault(self, digest: bytes, name: str) -> str:
        """Return the name that first came with this digest, ``name`` if it is new; OSError if the disk is full."""
        try:
            self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (digest, encoded(name)))
            (first,) = self._database.execute("SELECT name FROM seen WHERE digest = ?", (digest,)).fetchone()
        except sqlite3.Error as error:
            raise OSError(f"the temporary folder cannot be used: {error}") from None
        return bytes(first).decode("utf-8", "surrogateescape")

    def close(self) -> None:
        """Remove the database."""
        self._database.close()
