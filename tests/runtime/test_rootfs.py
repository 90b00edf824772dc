"""Root filesystems: overlays of few layers and of many."""

import pytest

from runtime.errors import InvalidError
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


@pytest.mark.parametrize("by", ["image", "container"])
@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
def test_a_root_that_leads_a_runtime_elsewhere_is_refused(tmp_path, name, by):
    layer, folder = tmp_path / "layer", tmp_path / "container"
    layer.mkdir()
    folder.mkdir()
    if by == "image":
        (layer / name).symlink_to(tmp_path)
    try:
        if by == "container":
            (mount_root(folder, [layer]) / name).symlink_to(tmp_path)
        with pytest.raises(InvalidError, match=f"`/{name}`") as caught:
            mount_root(folder, [layer])
    finally:
        unmount_root(folder)
    assert caught.value.code == "rootfs_symlink"
