"""Models on the Hugging Face Hub: ``hf://owner/name`` or ``hf://owner/name@revision``.

Only the four files of an exported model (:mod:`ptdiff.run.exported`) are downloaded, all of one commit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptdiff.errors import RunError, Unsupported
from ptdiff.run.exported import CARD, CONFIG, PICTURE, WEIGHTS, unpacked

SCHEME = "hf:"
_ADDRESS = re.compile(r"hf:/{1,2}(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)(@(?P<revision>[\w./-]+))?")


def is_address(run: Path | str) -> bool:
    """True for ``hf://…``, also after pathlib has removed one of its slashes."""
    return (run.as_posix() if isinstance(run, Path) else run).startswith("hf:/")


def parsed(address: Path | str) -> tuple[str, str | None]:
    """The repository, ``owner/name``, and the revision of an address; raises RunError if it has another form."""
    text = address.as_posix() if isinstance(address, Path) else address
    found = _ADDRESS.fullmatch(text)
    if found is None or {".", ".."} & {found["owner"], found["name"]}:
        raise RunError(f"{text}: an address on the Hub is hf://owner/name or hf://owner/name@revision")
    return f"{found['owner']}/{found['name']}", found["revision"]


def downloaded(address: Path | str, warn: Callable[[str], None] | None = None) -> Path:
    """The run folder of a model on the Hub, downloaded and unpacked unless it is in the cache.

    ``warn``: called with the address that pins the commit, if ``address`` has no revision.

    Raises RunError if there is no such model or it is not one of ptdiff, and Unsupported without huggingface_hub.
    """
    hub = library()
    repository, revision = parsed(address)
    try:
        folder = Path(
            hub.snapshot_download(repository, revision=revision, allow_patterns=[CONFIG, WEIGHTS, CARD, PICTURE])
        )
    except hub.errors.RepositoryNotFoundError:
        raise RunError(f"hf://{repository} does not exist, or is private: log in with 'hf auth login'") from None
    except hub.errors.RevisionNotFoundError:
        raise RunError(f"hf://{repository} has no revision {revision!r}") from None
    except (hub.errors.HfHubHTTPError, ValueError, OSError) as error:
        raise RunError(f"hf://{repository} cannot be downloaded: {_first_line(error)}") from None
    if not (folder / CONFIG).is_file():
        raise RunError(f"hf://{repository} is not a model of ptdiff: it has no {CONFIG}")
    # a snapshot's folder is named after its commit
    if revision is None and warn is not None:
        warn(f"hf://{repository} may change: hf://{repository}@{folder.name} is what was loaded")
    return unpacked(folder, repository.partition("/")[2])


def uploaded(folder: Path, address: Path | str) -> str:
    """Upload an exported model to the Hub, creating the repository if needed; returns the address of the commit.

    The token is that of ``hf auth login`` or HF_TOKEN.  Raises RunError if the Hub refuses.
    """
    hub = library()
    repository, revision = parsed(address)
    try:
        hub.create_repo(repository, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=repository,
            folder_path=folder,
            revision=revision,
            allow_patterns=[CONFIG, WEIGHTS, CARD, PICTURE],
            commit_message="Upload a model of ptdiff",
        )
    except (hub.errors.HfHubHTTPError, ValueError, OSError) as error:
        raise RunError(f"hf://{repository} cannot be written: {_first_line(error)}") from None
    return f"hf://{repository}@{commit.oid}"


def library() -> Any:
    """The package huggingface_hub; raises Unsupported, with the command that installs it, if it is missing."""
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError:
        raise Unsupported("hf:// needs the package huggingface_hub: pip install 'ptdiff[hub]'") from None
    return huggingface_hub


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
