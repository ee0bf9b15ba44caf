"""A bundle as a dataset repository on the Hugging Face hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.fingerprint import hash_file
from sftbench.publishing.layout import MANIFEST
from sftbench.publishing.manifest import seal_of

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
INSTEAD = "or publish to a folder with --to DIR and upload that"


def to_hub(bundle: Path, repository: str) -> list[str]:
    """Upload a bundle to the root of the dataset repository `ORG/NAME`, made if it is not there.

    The token is read from the environment and written nowhere. Raises `EnvironmentProblem` without token or network,
    and `UsageError` when the repository holds another bundle.
    """
    variable = _variable()
    token = os.environ[variable] if variable else None
    if token is None:
        raise EnvironmentProblem(f"no token for the Hugging Face hub; set {TOKENS[0]}, {INSTEAD}")
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    try:
        api.create_repo(repository, repo_type="dataset", exist_ok=True)
        if _is_there(api, repository, bundle):
            return [f"this bundle is in the dataset {repository} already"]
        told = api.upload_folder(
            folder_path=str(bundle),
            repo_id=repository,
            repo_type="dataset",
            commit_message=f"Publish a bundle of sftbench, seal {seal_of(bundle)[:16]}",
        )
    except UsageError:
        raise
    except Exception as problem:
        # A hub's errors may quote the request, with its headers.
        why = type(problem).__name__
        message = f"the Hugging Face hub did not take {repository} ({why}); try again, {INSTEAD}"
        raise EnvironmentProblem(message) from None
    return [f"uploaded: {getattr(told, 'commit_url', repository)}"]


def hub_told(repository: str) -> list[str]:
    """What an upload would do; no hub is asked, and of a token only the name of its variable is told."""
    variable = _variable()
    known = (
        f"with the token of ${variable}" if variable else f"for which a token is needed in ${TOKENS[0]}, not set here"
    )
    return [
        f"would be uploaded to the dataset {repository} of the Hugging Face hub, {known}; a new one is public, and "
        "what is there already was not looked up"
    ]


def _variable() -> str | None:
    """The variable of the environment that has a token."""
    return next((name for name in TOKENS if os.environ.get(name)), None)


def _is_there(api: Any, repository: str, bundle: Path) -> bool:
    if not api.file_exists(repository, MANIFEST, repo_type="dataset"):
        return False
    held = Path(api.hf_hub_download(repository, MANIFEST, repo_type="dataset"))
    if hash_file(held) == seal_of(bundle):
        return True
    raise UsageError(f"the dataset {repository} holds another bundle, which is not overwritten; choose another name")
