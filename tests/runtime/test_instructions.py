"""What `commit --change` makes of an image's config."""

import pytest

from runtime.errors import InvalidError
from runtime.image.instructions import change_config

BEFORE = {
    "Cmd": ["old"],
    "Env": ["PATH=/bin", "MODE=slow"],
    "Labels": {"a": "1"},
    "WorkingDir": "/srv",
    "ExposedPorts": {"80/tcp": {}},
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["CMD run  it"], {"Cmd": ["/bin/sh", "-c", "run  it"]}),
        (['cmd ["run", "it"]'], {"Cmd": ["run", "it"]}),
        (["CMD [not json"], {"Cmd": ["/bin/sh", "-c", "[not json"]}),
        (['ENTRYPOINT ["/init"]'], {"Entrypoint": ["/init"], "Cmd": None}),
        (
            ['CMD ["x"]', 'ENTRYPOINT ["/init"]'],
            {"Entrypoint": ["/init"], "Cmd": ["x"]},
        ),
        (["ENV MODE=fast X='a b'"], {"Env": ["PATH=/bin", "MODE=fast", "X=a b"]}),
        (["ENV MODE fast and so on"], {"Env": ["PATH=/bin", "MODE=fast and so on"]}),
        (["LABEL b=2", "LABEL a=3"], {"Labels": {"a": "3", "b": "2"}}),
        (
            ["EXPOSE 53/udp 8080"],
            {"ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8080/tcp": {}}},
        ),
        (['VOLUME ["/data", "/log"]'], {"Volumes": {"/data": {}, "/log": {}}}),
        (["VOLUME /data /log"], {"Volumes": {"/data": {}, "/log": {}}}),
        (["WORKDIR app/../www"], {"WorkingDir": "/srv/www"}),
        (["WORKDIR /app"], {"WorkingDir": "/app"}),
        (["USER 7:8"], {"User": "7:8"}),
        (["ONBUILD RUN x", "ONBUILD RUN y"], {"OnBuild": ["RUN x", "RUN y"]}),
    ],
)
def test_an_instruction_changes_what_it_says_and_nothing_else(changes, expected):
    found = change_config(BEFORE, changes)

    wanted = {**BEFORE, **expected}
    assert found == {name: value for name, value in wanted.items() if value is not None}


@pytest.mark.parametrize(
    "line",
    ["RUN x", "FROM x", "CMD", "", "ENV =x", "LABEL x", "EXPOSE 0", "EXPOSE 1/icmp", 'ENV a="'],
)
def test_a_line_that_is_none_is_refused_by_name(line):
    with pytest.raises(InvalidError, match="commit image with"):
        change_config(BEFORE, ["USER 7", line])
