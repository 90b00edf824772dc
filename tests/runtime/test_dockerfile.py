"""What a Dockerfile needs: images to be fetched, and what no builder here can do."""

import pytest

from runtime.build.dockerfile import read_needs
from runtime.errors import InvalidError, UnsupportedError


def images(text, args=None, **more):
    return read_needs(text, args or {}, **more).images


def test_every_base_image_is_needed_but_scratch_and_earlier_stages():
    text = (
        "FROM node:22 AS deps\nFROM scratch\nFROM deps AS two\nFROM debian\nCOPY --from=two a b\n"
    )
    assert images(text) == ("debian", "node:22")


def test_stages_that_the_target_does_not_need_need_nothing():
    text = "FROM a AS one\nFROM b AS two\nFROM one AS three\n"
    assert images(text) == ("a",)
    assert images(text, target="two") == ("b",)
    assert images(text, target="0") == ("a",)


def test_images_are_copied_from_and_mounted_too():
    text = (
        "FROM a\n"
        "COPY --from=nginx:1 --chown=1:1 /etc/nginx /x\n"
        "RUN --mount=type=bind,from=tools,target=/t --mount=type=cache,target=/c make\n"
    )
    needs = read_needs(text, {})
    assert needs.images == ("a", "nginx:1", "tools")
    assert not needs.mounts_stages


def test_a_mounted_stage_is_said_so():
    text = "FROM a AS one\nFROM b\nRUN --mount=type=bind,from=one,target=/t true\n"
    assert read_needs(text, {}).mounts_stages
    assert not read_needs(text, {}, target="one").mounts_stages


def test_named_contexts_hide_stages_and_images():
    text = "FROM base AS one\nCOPY --from=files a b\n"
    assert images(text, contexts={"base", "files"}) == ()


@pytest.mark.parametrize(
    ("written", "args", "meant"),
    [
        ("ARG V=1\nFROM a:$V", {}, "a:1"),
        ("ARG V=1\nFROM a:${V}", {"V": "2"}, "a:2"),
        ("ARG B=x\nARG V=${B}y\nFROM a:$V", {}, "a:xy"),
        ("ARG V\nFROM a:${V:-3}", {}, "a:3"),
        ("ARG V=1\nFROM a${V:+:slim}", {}, "a:slim"),
        ('ARG V="1.2"\nFROM a:$V', {}, "a:1.2"),
        ("from A_B as x", {}, "A_B"),
        ("# a comment\n\nFROM \\\n # inside\n  a \\\n  AS b", {}, "a"),
        ("# escape=`\nFROM `\n a", {}, "a"),
        ("# syntax=docker/dockerfile:1\nFROM --platform=$BUILDPLATFORM a", {}, "a"),
        ("\ufeffFROM a", {}, "a"),
    ],
)
def test_base_images_are_what_variables_and_lines_make_of_them(written, args, meant):
    assert images(written, args) == (meant,)


def test_a_variable_of_a_stage_is_none_of_a_base_image():
    with pytest.raises(InvalidError, match="names no image"):
        read_needs("FROM a\nARG V=1\nFROM $V", {})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it has no FROM"),
        ("RUN true\nFROM a", "line 1.*comes before the first FROM"),
        ("FROM a b", "line 1.*names no image"),
        ("ARG V\nFROM $V", "line 2.*names no image"),
    ],
)
def test_what_is_no_dockerfile_is_refused_with_its_line(text, why):
    with pytest.raises(InvalidError, match=why):
        read_needs(text, {})


def test_an_unknown_target_is_refused_with_the_stages_there_are():
    with pytest.raises(InvalidError) as refused:
        read_needs("FROM a AS one\nFROM b AS two", {}, target="three")
    assert refused.value.hint == "there are one, two"


def test_here_documents_are_refused_with_what_to_write():
    with pytest.raises(UnsupportedError, match=r"line 2.*here-documents") as refused:
        read_needs("FROM a\nRUN <<EOF\necho\nEOF\n", {})
    assert "&&" in refused.value.hint
    read_needs("FROM a\nRUN echo 1<<2; cat <file", {})
