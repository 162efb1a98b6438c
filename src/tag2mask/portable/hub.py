"""Trained networks to the Hugging Face Hub and back, through huggingface_hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import yaml

from tag2mask.config.load import load_yaml, parse_stored_config
from tag2mask.config.model import SOURCES
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.extras import require
from tag2mask.models.checkpoint import RunFolder
from tag2mask.portable.model_card import model_card

FILES = ("model.safetensors", "model.yaml")
"""The only files that are fetched."""

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_name(name: str | PathLike[str]) -> bool:
    """Whether this is 'user/name' on the Hub: of that form, and no path on this machine."""
    text = Path(name).as_posix()
    return _NAME.fullmatch(text) is not None and not Path(name).exists() and not Path(name).parent.exists()


def push_to_hub(
    run: str | Path,
    name: str,
    *,
    private: bool = True,
    scores: str | Path | None = None,
    description: str = "",
    licence: str | None = None,
    endpoint: str | None = None,
    token: str | None = None,
) -> str:
    """Upload a trained network with a model card, in one commit.

    The weights go as safetensors, classes and settings as YAML. Names of images, paths of this machine and
    checkpoints are not uploaded. The card says what the run knows: classes, number of images, verdict, scores, where
    the backbones' weights come from and under which licence, how to use it, and its limits.

    Args:
        run: folder that `train` or `Segmenter.save_pretrained` wrote; only the former knows images, tags and verdict.
        name: 'user/name'; the repository is created where there is none.
        private: whether a repository that is created is private.
        scores: file of what `tag2mask evaluate` gives as JSON, for the card.
        description: what the images are, for the card.
        licence: of the weights, an identifier of the Hub's, e.g. 'apache-2.0'.
        endpoint: address of another hub; None: `HF_ENDPOINT`, or Hugging Face's.
        token: None: of `hf auth login` or `HF_TOKEN`.

    Returns:
        The address of the commit.

    Raises:
        ConfigError: `name` has not the form 'user/name', or the Hub refuses.
        DataError: the folder holds no trained network, or `scores` cannot be read.
        MissingExtraError: huggingface_hub is not installed.
    """
    hub: Any = require("hub", "pushing to the Hub")
    if _NAME.fullmatch(name) is None:
        raise ConfigError(f"'{name}' is no name of a repository; expected user/name")
    folder = RunFolder(Path(run))
    if not folder.model.is_file() or not folder.weights.is_file():
        raise DataError(f"{run}: there is no trained network here; give the folder that `train` wrote")
    stored = load_yaml(folder.model)
    tree = _without_paths(stored)
    card = model_card(
        name,
        tree["classes"],
        parse_stored_config(stored["config"], source=str(folder.model)),
        tags=_read_tags(folder.collection),
        scores=None if scores is None else _read_scores(Path(scores)),
        masks_score=_read_result(folder.result),
        verdict=_read_verdict(folder.root / "verdict.json"),
        description=description,
        licence=licence,
    )
    content = {
        "README.md": card.encode(),
        "model.yaml": yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode(),
        "model.safetensors": str(folder.weights),
    }
    operations = [hub.CommitOperationAdd(path_in_repo=path, path_or_fileobj=data) for path, data in content.items()]
    api = hub.HfApi(endpoint=endpoint, token=token, library_name="tag2mask")
    with _explained(hub, name):
        api.create_repo(name, private=private, exist_ok=True)
        return str(api.create_commit(name, operations, commit_message="Network trained with tag2mask").commit_url)


def fetch(name: str, *, revision: str | None = None, endpoint: str | None = None, token: str | None = None) -> Path:
    """Download a network into the Hub's cache; what is there already is not downloaded again.

    Args:
        name: 'user/name'.
        revision: branch, tag or commit; None: the newest.
        endpoint: address of another hub; None: `HF_ENDPOINT`, or Hugging Face's.
        token: None: of `hf auth login` or `HF_TOKEN`.

    Returns:
        A folder that can be loaded as a run.

    Raises:
        ConfigError: no such repository, no access, no network, or settings that would read other files.
        DataError: the repository holds no network of tag2mask.
        MissingExtraError: huggingface_hub is not installed.
    """
    hub: Any = require("hub", f"{name}: there is no such folder, and fetching it from the Hub")
    with _explained(hub, name):
        found = hub.snapshot_download(
            name,
            revision=revision,
            endpoint=endpoint,
            token=token,
            allow_patterns=list(FILES),
            library_name="tag2mask",
        )
    folder = Path(found)
    for file in FILES:
        if not (folder / file).is_file():
            raise DataError(f"{name}: this repository has no {file}; it holds no network of tag2mask")
    _check_settings(load_yaml(folder / "model.yaml"), name)
    return folder


@contextmanager
def _explained(hub: Any, name: str) -> Iterator[None]:
    """Turn the errors of huggingface_hub into ones that a user can act on."""
    errors = hub.errors
    try:
        yield
    except errors.GatedRepoError:
        raise ConfigError(f"{name}: access is granted on request; ask for it on the repository's page") from None
    except errors.RepositoryNotFoundError:
        raise ConfigError(
            f"{name}: neither a folder here nor a repository on the Hub that you may read; check the name, "
            "or log in with `hf auth login`"
        ) from None
    except errors.RevisionNotFoundError:
        raise ConfigError(f"{name}: the repository has no such revision") from None
    except errors.LocalEntryNotFoundError:
        raise ConfigError(f"{name}: no folder here, not in the Hub's cache, and the Hub cannot be reached") from None
    except errors.HfHubHTTPError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"{name}: the Hub refused ({reason}); check name and token (`hf auth login`)") from None
    except OSError as error:
        raise ConfigError(f"{name}: the Hub cannot be reached ({error}); check the network") from None
    except RuntimeError as error:  # of an upload that broke off
        raise ConfigError(f"{name}: {error} ({error.__cause__}); check the network, then push again") from error


def _without_paths(tree: dict[str, Any]) -> dict[str, Any]:
    """The content of model.yaml without paths: of the weights that training began from, and of its cache."""
    config = dict(tree["config"])
    model = {"weights": "none", **config["model"]}
    for part in (model, *(companions := [dict(one) for one in model.get("companions", ())])):
        if part.get("weights") not in (*SOURCES, None):
            part["weights"] = "none"
    if companions:
        model["companions"] = companions
    if "cache" in config.get("data", {}):
        config["data"] = {**config["data"], "cache": None}
    return {**tree, "config": {**config, "model": model}}


def _check_settings(tree: Mapping[str, Any], name: str) -> None:
    """Refuse settings that cannot be used, among them arguments that would make timm read other files."""
    parse_stored_config(tree.get("config", {}), source=f"{name}: model.yaml")


def _read_tags(path: Path) -> dict[str, list[str]] | None:
    """Tags of the training images by name, or None where the folder does not say."""
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        records = document["records"] if "records" in document else document["items"]  # version 1
        return {record["name"]: list(record["tags"]) for record in records}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: cannot read what the run was trained on ({error})") from None


def _read_result(path: Path) -> dict[str, Any] | None:
    """The score of the masks of the training images, where the run had ground truth of them."""
    score = _read_json(path).get("score")
    return score if isinstance(score, dict) and {"mIoU", "images"} <= score.keys() else None


def _read_verdict(path: Path) -> dict[str, Any] | None:
    found = _read_json(path)
    return found if {"overall", "reason", "classes"} <= found.keys() and isinstance(found["classes"], dict) else None


def _read_json(path: Path) -> dict[str, Any]:
    """An object from a file of the run; empty where there is none."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot read it ({error}); remove it, and the card does without") from None
    return found if isinstance(found, dict) else {}


def _read_scores(path: Path) -> dict[str, Any]:
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
        float(scores["mIoU"]), dict(scores["IoU"]), int(scores["images"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"`scores` {path}: not what `tag2mask evaluate` gives as JSON ({error})") from None
    return dict(scores)
