"""Root filesystems: overlays of few layers and of many."""

import pytest

from runtime.image.manifest import MAX_LAYERS
from runtime.oci.rootfs import mount_root, unmount_root

pytestmark = pytest.mark.root


@pytest.mark.parametrize("count", [1, 40, MAX_LAYERS])
def test_as_many_layers_as_an_image_may_have_are_mounted_in_their_order(tmp_path, count):
    layers = []
    for number in range(count):
        layer = tmp_path / "layers" / f"{number:064x}"
        layer.mkdir(parents=True)
        (layer / "last").write_text(str(number))
        (layer / f"own{number}").write_text("x")
        layers.append(layer)
    folder = tmp_path / "container"
    folder.mkdir()

    root = mount_root(folder, layers)
    try:
        assert (root / "last").read_text() == str(count - 1)
        assert len(list(root.glob("own*"))) == count
    finally:
        unmount_root(folder)
