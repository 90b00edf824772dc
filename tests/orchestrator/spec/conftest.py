"""Stack files written to a directory of their own, and what becomes of them."""

import pytest

from orchestrator.spec.load import LoadRequest, load_stack
from orchestrator.spec.problems import SpecError
from tests.orchestrator.spec.schemas import mistakes


@pytest.fixture
def write(tmp_path):
    """Write files, given as a mapping of names to texts; return the directory."""

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


@pytest.fixture
def load(tmp_path, write):
    """Load texts as the files of one stack, or the files a mapping names."""

    def load(*texts, files=None, environ=None, to_run=False, **more):
        write(files or {})
        named = {f"f{number}.yml": text for number, text in enumerate(texts)}
        write(named)
        more.setdefault("files", tuple(named))
        request = LoadRequest(cwd=tmp_path, environ=environ or {}, to_run=to_run, **more)
        loaded = load_stack(request)
        if len(texts) == 1 and more["files"] == tuple(named):
            assert mistakes(texts[0]) == [], "an editor would underline what loads"
        return loaded

    return load


@pytest.fixture
def complain(load, tmp_path):
    """Return what is said about what cannot be loaded, without the directory."""

    def complain(*texts, **more):
        with pytest.raises(SpecError) as refused:
            load(*texts, **more)
        problems = refused.value.problems
        said = [f"{one}" + (f"\nhint: {one.hint}" if one.hint else "") for one in problems]
        return "\n".join(said).replace(f"{tmp_path}/", "")

    return complain
