"""Under which licences the text of a pool may go into a bundle."""

from __future__ import annotations

from sftbench.errors import UsageError

FREE = (
    "apache-2.0",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "cdla-permissive-2.0",
    "mit",
    "odc-by",
    "pddl",
    "public-domain",
    "unlicense",
)
"""Licences that let anybody pass the rows on, some of them with the names of their authors (SPDX and hub names)."""


def check_licence(named: str | None, *, with_rows: bool) -> str | None:
    """The licence as it is written into the bundle. Raises `UsageError` where rows may not be passed on under it.

    Nothing in a pool's file tells its licence, so that without a word of the publisher only ids and hashes go out.
    """
    told = named.strip().lower() if named else None
    if with_rows and told is None:
        raise UsageError("--with-rows needs --licence-of-pool NAME: text goes out only where a licence lets it")
    if with_rows and told not in FREE:
        raise UsageError(
            f"--licence-of-pool {named}: not known to let rows be passed on; known: {', '.join(FREE)}. "
            "Without --with-rows, ids and hashes are published and no text"
        )
    return told
