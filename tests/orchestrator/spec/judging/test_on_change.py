"""What of `on_change` and `notify` is refused, with the line it stands in."""

import pytest

from orchestrator.spec.problems import SpecError

HEAD = "name: s\nservices:\n  a: {image: i, configs: [c, d]}\nconfigs:\n"
REST = "  d: {content: y}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{on_change: signal, signal: SIGFOO}", "5:{}: configs.c.x-pyorch.signal: `SIGFOO` is no"),
        ("{on_change: exec}", "configs.c.x-pyorch.on_change: `exec` needs the command to run"),
        ("{on_change: none, exec: [a]}", "exec: it says nothing with `on_change: none`"),
        ("{signal: SIGUSR1}", "signal: it says nothing with `on_change: recreate`"),
        ("{on_change: reload}", "on_change: input should be 'recreate', 'restart', 'signal'"),
        ("{on-change: none}", "configs.c.x-pyorch.on-change: unknown key"),
        ("{on_change: exec, exec: [a], timeout: 0s}", "timeout: input should be greater than"),
    ],
)
def test_what_on_change_cannot_mean_is_refused_under_its_line(load, text, told):
    with pytest.raises(SpecError) as error:
        load(HEAD + f"  c: {{content: x, x-pyorch: {text}}}\n" + REST, to_run=True)

    assert ":5:" in str(error.value)
    assert told.removeprefix("5:{}: ") in str(error.value)


def test_a_template_is_not_changed_in_place_nor_what_it_brings(load):
    own = "  c: {content: x, template_driver: golang, x-pyorch: {on_change: none}}\n"
    brings = (
        "  c: {content: 'a {{ config \"d\" }}', template_driver: golang}\n"
        "  d: {content: y, x-pyorch: {on_change: restart}}\n"
    )

    with pytest.raises(SpecError, match="`none` is not for a template"):
        load(HEAD + own + REST, to_run=True)
    with pytest.raises(SpecError, match="it brings `d`, whose content is changed in place"):
        load(HEAD + brings, to_run=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "x-pyorch.notify.0: it is either a `webhook` or a `command`"),
        ("{webhook: 'http://h/', command: [/a]}", "notify.0: it is either a `webhook` or a"),
        ("{webhook: ftp://h/geheim}", "notify.0.webhook: it is no URL: write https://HOST/PATH"),
        ("{webhook: 'http://h:70000/'}", "notify.0.webhook: it is no URL"),
        ("{webhook: 'http://h/a b'}", "notify.0.webhook: it is no URL"),
        ("{command: mail root}", "notify.0.command"),
        ("{command: [mail, root]}", "notify.0.command: it begins with no absolute path"),
        ("{webhook: 'http://h/', on: [crash-loop]}", "notify.0.on.0: input should be 'crash_loop'"),
        ("{webhook: 'http://h/', on: []}", "notify.0.on: "),
    ],
)
def test_whom_nobody_can_tell_is_refused_under_its_line(load, text, told):
    with pytest.raises(SpecError) as error:
        load(
            f"name: s\nservices: {{a: {{image: i}}}}\nx-pyorch:\n  notify: [{text}]\n", to_run=True
        )

    assert ":4:" in str(error.value)
    assert told in str(error.value)
