"""Who waits for whom is drawn whole, in an order in which it may happen."""

import itertools
import re
import subprocess
import sys
import xml.dom.minidom

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.drawing import Edge, Graph, Node, as_dot, as_html, as_svg, as_text

CONDITIONS = ["service_started", "service_healthy", "service_completed_successfully"]
NAMES = [f"s{number}" for number in range(8)]


@st.composite
def graphs(draw):
    """Graphs without cycles: whoever waits stands behind whom it waits for."""
    names = draw(st.permutations(NAMES))
    pairs = [(one, other) for at, other in enumerate(names) for one in names[:at]]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=12))
    edges = tuple(
        Edge(one, other, draw(st.sampled_from(CONDITIONS)), draw(st.booleans()))
        for one, other in chosen
    )
    return Graph(tuple(Node(name) for name in draw(st.permutations(names))), edges)


@given(graphs())
def test_nobody_stands_before_what_it_waits_for(graph):
    layer_of = {node.name: at for at, layer in enumerate(graph.layers()) for node in layer}

    assert sorted(layer_of) == sorted(NAMES)
    assert all(layer_of[edge.before] < layer_of[edge.after] for edge in graph.edges)


@given(graphs())
def test_every_form_shows_every_service_and_every_wait(graph):
    lines = {line.split()[0]: line for line in as_text(graph).splitlines()}
    dot = as_dot(graph, "x")
    picture = xml.dom.minidom.parseString(as_svg(graph, "x"))

    assert set(lines) == set(NAMES)
    for edge in graph.edges:
        assert f" {edge.before} (" in lines[edge.after]
        assert f'"{edge.before}" -> "{edge.after}"' in dot
    assert len(picture.getElementsByTagName("rect")) == len(NAMES)
    arrows = [one for one in picture.getElementsByTagName("path") if one.hasAttribute("marker-end")]
    assert len(arrows) == len(graph.edges)


@given(graphs())
def test_boxes_do_not_lie_over_each_other(graph):
    picture = xml.dom.minidom.parseString(as_svg(graph, "x"))
    boxes = [
        tuple(float(box.getAttribute(key)) for key in ("x", "y", "width", "height"))
        for box in picture.getElementsByTagName("rect")
    ]
    for at, (x, y, width, height) in enumerate(boxes):
        for left, top, *_ in boxes[:at]:
            assert abs(x - left) >= width or abs(y - top) >= height


@given(st.text(max_size=20))
def test_names_and_titles_cannot_break_out_of_a_page(name):
    graph = Graph((Node("a", "running", (name,)),), ())
    page = as_html(graph, name)

    assert "<script" not in page
    assert len(re.findall("<h1>", page)) == 1


def test_a_chain_longer_than_the_stack_is_deep_is_drawn():
    names = [f"s{number}" for number in range(5000)]
    pairs = itertools.pairwise(names)
    edges = tuple(Edge(one, other, CONDITIONS[0]) for one, other in pairs)

    assert len(Graph(tuple(map(Node, names)), edges).layers()) == 5000


def test_nothing_is_drawn_of_nothing():
    assert as_text(Graph((), ())) == ""
    xml.dom.minidom.parseString(as_svg(Graph((), ()), "x"))


def test_the_command_draws_a_file_without_a_daemon(tmp_path):
    (tmp_path / "stack.yml").write_text(
        "name: shop\nservices:\n  db: {image: a}\n  web: {image: b, depends_on: [db]}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "from orchestrator.cli import main; main()", "graph"],
        cwd=tmp_path,
        env={"PYORCH_RUN": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "db    at once\nweb   after db (started)\n"
