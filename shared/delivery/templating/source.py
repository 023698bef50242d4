"""From a template's text to something that can be rendered: read, checked, metered, compiled."""

from collections.abc import Iterator, Sequence
from typing import cast

from jinja2 import nodes
from jinja2.environment import Template
from jinja2.exceptions import TemplateSyntaxError
from jinja2.visitor import NodeTransformer

from shared.delivery.templating.filters import FILTERS, PUBLIC_FILTERS, PUBLIC_TESTS, TESTS
from shared.delivery.templating.instruments import CONCATENATION, ENTRY, INSTRUMENTS, LOOP, PAID
from shared.delivery.templating.sandbox import Sandbox

MAX_SOURCE_CHARACTERS = 512 * 1024
MAX_DEPTH = 60
_CHARACTERS_PER_STEP = 128
_NODES_PER_STEP = 2

SANDBOXES = {
    html: Sandbox(autoescape=html, filters={**FILTERS, **INSTRUMENTS}, tests=TESTS) for html in (False, True)
}

_REFUSED: dict[type[nodes.Node], str] = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "import",
    nodes.Extends: "extends",
    nodes.Block: "block",
    nodes.ScopedEvalContextModifier: "autoescape",
    nodes.EvalContextModifier: "autoescape",
}
_RESERVED_NAMES = frozenset({"self", "super"})


class TemplateSyntaxProblem(ValueError):
    """A template that cannot be rendered, whatever its variables. `line` counts from 1."""

    def __init__(self, line: int, message: str, *, part: str = "body") -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message
        self.part = part


def parse(source: str) -> nodes.Template:
    """The tree of a template that keeps to what is allowed. Raises TemplateSyntaxProblem."""
    if len(source) > MAX_SOURCE_CHARACTERS:
        raise TemplateSyntaxProblem(1, f"a template has at most {MAX_SOURCE_CHARACTERS} characters")
    try:
        tree = SANDBOXES[False].parse(source)
        _check(tree)
    except TemplateSyntaxError as error:
        raise TemplateSyntaxProblem(error.lineno, error.message or "this is not valid") from error
    except RecursionError as error:
        raise TemplateSyntaxProblem(1, "it is nested too deeply") from error
    return tree


def compile_template(source: str, *, html: bool) -> Template:
    """A template that can be rendered; with `html`, values are escaped. Raises TemplateSyntaxProblem."""
    sandbox = SANDBOXES[html]
    tree = parse(source)
    try:
        metered = _Metering().visit(tree)
        metered.set_environment(sandbox)
        return Template.from_code(sandbox, sandbox.compile(metered), sandbox.make_globals(None))
    except TemplateSyntaxError as error:
        raise TemplateSyntaxProblem(error.lineno, error.message or "this is not valid") from error
    except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
        raise TemplateSyntaxProblem(1, "it is nested too deeply, or otherwise cannot be compiled") from error


def _check(tree: nodes.Template) -> None:
    open_nodes: list[tuple[nodes.Node, int]] = [(tree, 0)]
    while open_nodes:
        node, depth = open_nodes.pop()
        refusal = _refusal(node)
        if depth > MAX_DEPTH:
            refusal = "it is nested too deeply"
        if refusal is not None:
            raise TemplateSyntaxProblem(node.lineno or 1, refusal)
        open_nodes.extend((child, depth + 1) for child in node.iter_child_nodes())


def _refusal(node: nodes.Node) -> str | None:
    if type(node) in _REFUSED:
        return f"{_REFUSED[type(node)]} is not available"
    if isinstance(node, nodes.Filter) and node.name not in PUBLIC_FILTERS:
        return f"there is no filter {node.name!r}"
    if isinstance(node, nodes.Test) and node.name not in PUBLIC_TESTS:
        return f"there is no test {node.name!r}"
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        return f"{node.attr!r} is not available"
    if isinstance(node, nodes.For) and node.recursive:
        return "a recursive loop is not available"
    if isinstance(node, nodes.Name) and node.name in _RESERVED_NAMES:
        return f"the name {node.name!r} is reserved"
    return None


def _run_once(body: Sequence[nodes.Node]) -> Iterator[nodes.Node]:
    """The nodes of `body` that one run through it comes upon: not the bodies of the loops in it."""
    open_nodes: list[nodes.Node] = [*body]
    while open_nodes:
        node = open_nodes.pop()
        yield node
        if isinstance(node, nodes.For):
            open_nodes += [node.iter, *node.else_]
        else:
            open_nodes += node.iter_child_nodes()


def _weight(body: Sequence[nodes.Node]) -> int:
    """The steps that one run through `body` takes; loops in it pay for themselves."""
    count = characters = 0
    for node in _run_once(body):
        count += 1
        if isinstance(node, nodes.TemplateData):
            characters += len(node.data)
    return 1 + count // _NODES_PER_STEP + characters // _CHARACTERS_PER_STEP


def _filtered(name: str, node: nodes.Expr, *args: int) -> nodes.Filter:
    constants: list[nodes.Expr] = [nodes.Const(value, lineno=node.lineno) for value in args]
    return nodes.Filter(node, name, constants, [], None, None, lineno=node.lineno)


class _Metering(NodeTransformer):
    """Puts the meter into a tree: at every loop, macro, comparison, slice, literal and concatenation.

    Calls, filters, tests, arithmetic and output are metered where the sandbox carries them out.
    """

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        weight = _weight(node.body) + (0 if node.test is None else _weight([node.test]))
        self.generic_visit(node)
        node.iter = _filtered(LOOP, cast(nodes.Expr, node.iter), weight)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        return self._entry(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:  # noqa: N802
        return self._entry(node)

    def _entry(self, node: nodes.Macro | nodes.CallBlock) -> nodes.Node:
        weight = nodes.Const(_weight(node.body), lineno=node.lineno)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_filtered(ENTRY, weight), lineno=node.lineno))
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = self._paid(node.expr)
        for operand in node.ops:
            operand.expr = self._paid(operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        # Jinja2 slices without asking the sandbox, and Python warns of a constant that cannot be sliced.
        node.node = _filtered(PAID, node.node)
        return self._paid(node)

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return self._paid(node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return self._paid(node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return self._paid(node) if node.ctx == "load" else node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filtered(CONCATENATION, nodes.List(node.nodes, lineno=node.lineno))

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if node.expr2 is None:  # `'a' if x` is nothing without x, rather than a missing variable
            node.expr2 = nodes.Const("", lineno=node.lineno)
        return node

    @staticmethod
    def _paid(node: nodes.Expr) -> nodes.Expr:
        return node if isinstance(node, nodes.Const) else _filtered(PAID, node)
