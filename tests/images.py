"""An image as files: the OCI layout of one layer, without a name of its own."""

import hashlib
import json

KIND = "application/vnd.oci.image."


def write_layout(folder, *layers_and_more, **document):
    """Write the layout of an image of these layers, tarballs, and return ``folder``.

    What comes last may be an object: what its configuration says besides. ``document`` is what
    the image says besides.
    """
    layers = [one for one in layers_and_more if isinstance(one, bytes)]
    more = next((one for one in layers_and_more if isinstance(one, dict)), {})
    diffs = [_blob(folder, layer) for layer in layers]
    config = _document(
        folder,
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["sleep", "1000"], "Env": ["COLOUR=green"], **more},
            "rootfs": {"type": "layers", "diff_ids": [one["digest"] for one in diffs]},
            **document,
        },
    )
    manifest = _document(
        folder,
        {
            "schemaVersion": 2,
            "mediaType": KIND + "manifest.v1+json",
            "config": {**config, "mediaType": KIND + "config.v1+json"},
            "layers": [{**one, "mediaType": KIND + "layer.v1.tar"} for one in diffs],
        },
    )
    index = {
        "schemaVersion": 2,
        "manifests": [{**manifest, "mediaType": KIND + "manifest.v1+json"}],
    }
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def _document(folder, document):
    return _blob(folder, json.dumps(document).encode())


def _blob(folder, data):
    digest = hashlib.sha256(data).hexdigest()
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    (blobs / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}
