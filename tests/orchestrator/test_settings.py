"""What the daemon is told by its environment."""

import pytest

from orchestrator.errors import PyorchError
from orchestrator.settings import Settings


def test_labels_and_resources_are_read_as_lists_of_pairs():
    found = Settings.from_environ(
        {"PYORCH_LABELS": "disk=ssd, zone=a=b,empty=", "PYORCH_RESOURCES": "gpu=2,license=0"}
    )

    assert found.labels == {"disk": "ssd", "zone": "a=b", "empty": ""}
    assert found.resources == {"gpu": 2, "license": 0}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PYORCH_LABELS", "disk", "PYORCH_LABELS: `disk` is no label"),
        ("PYORCH_LABELS", "=ssd", "PYORCH_LABELS: `=ssd` is no label"),
        ("PYORCH_RESOURCES", "gpu=some", "PYORCH_RESOURCES: `some` is no number of `gpu`"),
        ("PYORCH_RESOURCES", "gpu=-1", "PYORCH_RESOURCES: `-1` is no number of `gpu`"),
        ("PYORCH_INSTANCE", "Too-Long-A-Name", "PYORCH_INSTANCE: `Too-Long-A-Name` is no"),
        ("PYORCH_RUNTIME_PATIENCE", "0", "PYORCH_RUNTIME_PATIENCE: `0` is no time"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_variable(name, value, told):
    with pytest.raises(PyorchError, match=told) as error:
        Settings.from_environ({name: value})

    assert error.value.hint
