"""The versioned directory of blueprints: every byte checked, whole versions or none."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from backtestd_nautilus.model import Blueprint, RefusedBlueprint

MANIFEST_SCHEMA = "backtestd.blueprint_manifest/1"


class DamagedVersion(ValueError):
    """A version that does not match its manifest. Nothing of it is used."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version as it was published."""

    name: str
    published_at_ns: int
    blueprints: dict[str, Blueprint]
    refused: dict[str, str]
    """Lines that this package must not trade, with the reason."""


class BlueprintStore:
    """Reads ``DIR/vNNNNNN``; versions are immutable, so each is read once."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self._read: dict[str, Version] = {}
        self._published: dict[str, int] = {}

    def names(self) -> list[str]:
        """Names of the versions, ascending."""
        if not self.directory.is_dir():
            raise FileNotFoundError(f"{self.directory}: no directory of blueprints; it is <data root>/blueprints")
        names = [p.name for p in self.directory.iterdir() if p.name[0] == "v" and p.name[1:].isdigit()]
        return sorted(names, key=lambda name: int(name[1:]))

    def current(self) -> str | None:
        """Name of the version in force; None before the first publication. Not for backtests: it looks ahead."""
        link = self.directory / "current"
        return os.readlink(link) if link.is_symlink() else None

    def as_of(self, now_ns: int) -> str | None:
        """Name of the version that was in force at an instant."""
        for name in reversed(self.names()):
            if name not in self._published:
                self._published[name] = self._manifest(name)["published_at_ns"]
            if self._published[name] <= now_ns:
                return name
        return None

    def version(self, name: str) -> Version:
        """A version, checked against its manifest."""
        if name not in self._read:
            self._read[name] = self._load(name)
        return self._read[name]

    def _manifest(self, name: str) -> dict:
        path = self.directory / name / "manifest.json"
        manifest = json.loads(path.read_bytes())
        for field, wanted in (("schema", MANIFEST_SCHEMA), ("version", name)):
            if manifest[field] != wanted:
                raise DamagedVersion(f"{path}: {field} is {manifest[field]!r}, but should be {wanted!r}")
        return manifest

    def _load(self, name: str) -> Version:
        manifest = self._manifest(name)
        entry = manifest["files"]["blueprints.jsonl"]
        path = self.directory / name / "blueprints.jsonl"
        data = path.read_bytes()
        lines = data.splitlines()
        found = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": len(lines)}
        for field, value in found.items():
            if value != entry[field]:
                raise DamagedVersion(f"{path}: {field} is {value}, but the manifest says {entry[field]}")
        blueprints, refused = {}, {}
        for text in lines:
            line = json.loads(text)
            try:
                blueprints[line["id"]] = Blueprint.from_line(line)
            except RefusedBlueprint as why:
                refused[str(line.get("id"))] = str(why)
        return Version(name, manifest["published_at_ns"], blueprints, refused)
