"""A large image at registries of the benchmark's own, one for each network it is pulled in."""

import gzip
import hashlib
import io
import json
import random
import socket
import subprocess
import tarfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

LAYERS = 10
FILES = 5_000
"""Of each layer."""
FOLDERS = 250
AVERAGE = 15_200
"""Bytes of a file; a third of them cannot be made smaller."""
KIND = "application/vnd.oci.image."
PATIENCE = 30.0


class Shelf:
    """The image, made when it is first asked for, and the registries that serve it."""

    def __init__(self, folder: Path) -> None:
        """Keep everything below ``folder``."""
        self._folder = folder
        self._port = 0
        self._serving: dict[tuple[str, ...], subprocess.Popen[bytes]] = {}

    @property
    def image(self) -> str:
        """The image's name, the same one in every network."""
        return f"127.0.0.1:{self._port}/bench/large:1"

    def layers(self) -> list[Path]:
        """Return the layers as the registry keeps them."""
        self._fill()
        return sorted((self._folder / "layout/blobs/sha256").glob("*.layer"))

    def serve(self, inside: Sequence[str] = ()) -> None:
        """Have a registry answer; ``inside`` are words that take a command into a network."""
        self._fill()
        self._listen(tuple(inside))

    def close(self) -> None:
        """End the registries."""
        for process in self._serving.values():
            process.kill()
            process.wait()

    def _fill(self) -> None:
        if self._port:
            return
        self._port = _free_port()
        layout = self._folder / "layout"
        (layout / "blobs/sha256").mkdir(parents=True)
        with ProcessPoolExecutor() as pool:
            made = list(pool.map(_write_layer, range(LAYERS), [layout] * LAYERS))
        config = _put(layout, _config([diff for diff, _ in made]), "config.v1+json")
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{KIND}manifest.v1+json",
            "config": config,
            "layers": [layer for _, layer in made],
        }
        entry = _put(layout, manifest, "manifest.v1+json")
        (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        self._listen(())
        words = ["skopeo", "copy", "-q", "--dest-tls-verify=false"]
        subprocess.run([*words, f"oci:{layout}", f"docker://{self.image}"], check=True)

    def _listen(self, inside: tuple[str, ...]) -> None:
        if inside in self._serving:
            return
        settings = self._folder / "registry.yml"
        settings.write_text(
            "version: 0.1\nlog: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {self._folder / 'registry'}}}}}\n"
            f"http: {{addr: '127.0.0.1:{self._port}'}}\n"
        )
        self._serving[inside] = subprocess.Popen(
            [*inside, "docker-registry", "serve", str(settings)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ask = [*inside, "skopeo", "list-tags", "--tls-verify=false"]
        deadline = time.monotonic() + PATIENCE
        while b"connection refused" in _complaint([*ask, f"docker://{self.image[:-2]}"]):
            if time.monotonic() > deadline:
                raise SystemExit("error: the benchmark's registry does not answer")


def _complaint(words: Sequence[str]) -> bytes:
    return subprocess.run(words, capture_output=True, check=False).stderr


def _write_layer(number: int, layout: Path) -> tuple[str, dict[str, object]]:
    """Write a layer; return its diff id and how a manifest speaks of it."""
    chance = random.Random(number)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for place in range(FILES):
            name = f"usr/lib/layer{number}/{place % FOLDERS}/file{place}"
            info = tarfile.TarInfo(name)
            info.size, info.mode = chance.randrange(2 * AVERAGE), 0o644
            hard = chance.randbytes(info.size // 3)
            archive.addfile(info, io.BytesIO((hard + b"easy" * AVERAGE)[: info.size]))
    plain = stream.getvalue()
    packed = gzip.compress(plain, 6)
    digest = hashlib.sha256(packed).hexdigest()
    path = layout / "blobs/sha256" / digest
    path.write_bytes(packed)
    path.with_suffix(".layer").symlink_to(digest)
    described = {
        "mediaType": f"{KIND}layer.v1.tar+gzip",
        "digest": f"sha256:{digest}",
        "size": len(packed),
    }
    return f"sha256:{hashlib.sha256(plain).hexdigest()}", described


def _config(diffs: Sequence[str]) -> dict[str, object]:
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": list(diffs)},
    }


def _put(layout: Path, document: dict[str, object], kind: str) -> dict[str, object]:
    data = json.dumps(document).encode()
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(data)
    return {"mediaType": KIND + kind, "digest": f"sha256:{digest}", "size": len(data)}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
