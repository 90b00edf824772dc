"""Stack files held against the JSON schema, as an editor would."""

import functools

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

from orchestrator.spec.reading.yaml import Tagged, parse
from orchestrator.spec.showing.schema import schema


@functools.cache
def validator():
    """Return the schema, ready to be asked."""
    Draft7Validator.check_schema(schema())
    return Draft7Validator(schema())


def mistakes(text):
    """Return what an editor would underline in a file, one line for each document."""
    found = []
    for document in parse(text, "f.yml"):
        content = untagged(document.content)
        # An empty document says nothing, and nobody is told of it.
        if content is not None and (error := best_match(validator().iter_errors(content))):
            path = ".".join(str(part) for part in error.absolute_path)
            found.append(f"{path}: {error.message[:200]}")
    return found


GONE = object()


def untagged(value):
    """Return a value without `!reset` and `!override`: editors are told of tags elsewhere."""
    if isinstance(value, Tagged):
        return GONE if value.tag == "!reset" else untagged(value.value)
    if isinstance(value, dict):
        pairs = ((key, untagged(one)) for key, one in value.items())
        return {key: one for key, one in pairs if one is not GONE}
    if isinstance(value, list):
        return [one for one in map(untagged, value) if one is not GONE]
    return value
