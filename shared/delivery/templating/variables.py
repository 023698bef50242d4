"""Which variables a template cannot do without: those it uses with neither a default nor a question
whether they are there.

`known` are the names that certainly have a value at a place: what the template set itself, loop targets,
macro arguments, and what an `is defined` around it has asked for. The walk follows the branches, so that
`{% if not x is defined %}{% set x = 1 %}{% endif %}{{ x }}` does not need `x`.
"""

from collections.abc import Iterable, Sequence

from jinja2 import nodes

_GLOBALS = frozenset({"range", "dict", "namespace"})
_MACRO_LOCALS = frozenset({"caller", "kwargs", "varargs"})

Known = frozenset[str]


def required_variables(tree: nodes.Template) -> frozenset[str]:
    """The names `tree` uses and cannot do without."""
    walk = _Walk()
    walk.statements(tree.body, _GLOBALS)
    return frozenset(walk.required)


def _root(node: nodes.Node | None) -> str | None:
    """`user` of `user`, `user.address` and `user['address'][0]`; None for anything else."""
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        node = node.node
    return node.name if isinstance(node, nodes.Name) else None


def _targets(node: nodes.Node) -> Known:
    return frozenset(
        name.name for name in [*node.find_all(nodes.Name)] + ([node] if isinstance(node, nodes.Name) else [])
    )


def _facts(test: nodes.Node) -> tuple[Known, Known]:
    """The names that are there if `test` holds, and those that are there if it does not."""
    if isinstance(test, nodes.Test) and test.name in ("defined", "undefined"):
        root = _root(test.node)
        there = frozenset() if root is None else frozenset({root})
        return (there, frozenset()) if test.name == "defined" else (frozenset(), there)
    if isinstance(test, nodes.Not):
        if_true, if_false = _facts(test.node)
        return if_false, if_true
    if isinstance(test, nodes.And | nodes.Or):
        left_true, left_false = _facts(test.left)
        right_true, right_false = _facts(test.right)
        if isinstance(test, nodes.And):
            return left_true | right_true, left_false & right_false
        return left_true & right_true, left_false | right_false
    return frozenset(), frozenset()


class _Walk:
    def __init__(self) -> None:
        self.required: set[str] = set()

    def statements(self, body: Sequence[nodes.Node], known: Known) -> Known:
        """Walk through `body`; answers what is known after it."""
        for node in body:
            known = self._statement(node, known)
        return known

    def _statement(self, node: nodes.Node, known: Known) -> Known:  # noqa: PLR0911 - one return a kind
        if isinstance(node, nodes.If):
            return self._if(node, known)
        if isinstance(node, nodes.For):
            self._for(node, known)
            return known
        if isinstance(node, nodes.Assign):
            self.expression(node.node, known)
            if isinstance(node.target, nodes.NSRef):
                self._name(node.target.name, known)
                return known
            return known | _targets(node.target)
        if isinstance(node, nodes.AssignBlock):
            if node.filter is not None:
                self.expression(node.filter, known)
            self.statements(node.body, known)
            return known | _targets(node.target)
        if isinstance(node, nodes.With):
            self.expressions(node.values, known)
            self.statements(node.body, known.union(*map(_targets, node.targets)))
            return known
        if isinstance(node, nodes.Macro | nodes.CallBlock):
            return self._macro(node, known)
        if isinstance(node, nodes.FilterBlock):
            self.expression(node.filter, known)
            self.statements(node.body, known)
            return known
        self.expression(node, known)
        return known

    def _if(self, node: nodes.If, known: Known) -> Known:
        self.expression(node.test, known)
        if_true, if_false = _facts(node.test)
        after = self.statements(node.body, known | if_true)
        otherwise = known | if_false
        for branch in node.elif_:
            self.expression(branch.test, otherwise)
            branch_true, branch_false = _facts(branch.test)
            after &= self.statements(branch.body, otherwise | branch_true)
            otherwise |= branch_false
        return after & self.statements(node.else_, otherwise)

    def _for(self, node: nodes.For, known: Known) -> None:
        self.expression(node.iter, known)
        inside = known | _targets(node.target) | {"loop"}
        if node.test is not None:
            self.expression(node.test, inside)
            inside |= _facts(node.test)[0]
        self.statements(node.body, inside)
        self.statements(node.else_, known)

    def _macro(self, node: nodes.Macro | nodes.CallBlock, known: Known) -> Known:
        self.expressions(node.defaults, known)
        if isinstance(node, nodes.CallBlock):
            self.expression(node.call, known)
            after = known
        else:
            after = known | {node.name}  # known inside as well: it may call itself
        self.statements(node.body, after.union(_MACRO_LOCALS, *map(_targets, node.args)))
        return after

    def expressions(self, parts: Iterable[nodes.Node], known: Known) -> None:
        for part in parts:
            self.expression(part, known)

    def expression(self, node: nodes.Node, known: Known) -> None:
        """Note the names in `node` that are needed."""
        if isinstance(node, nodes.Name):
            self._name(node.name, known)
        elif isinstance(node, nodes.Filter) and node.name in ("default", "d"):
            self._asked_for(node.node, known)
            self.expressions([*node.args, *node.kwargs], known)
        elif isinstance(node, nodes.Test) and node.name in ("defined", "undefined"):
            self._asked_for(node.node, known)
        elif isinstance(node, nodes.And | nodes.Or):
            self.expression(node.left, known)
            if_true, if_false = _facts(node.left)
            self.expression(node.right, known | (if_true if isinstance(node, nodes.And) else if_false))
        elif isinstance(node, nodes.CondExpr):
            self.expression(node.test, known)
            if_true, if_false = _facts(node.test)
            self.expression(node.expr1, known | if_true)
            if node.expr2 is not None:
                self.expression(node.expr2, known | if_false)
        else:
            self.expressions(node.iter_child_nodes(), known)

    def _asked_for(self, node: nodes.Node | None, known: Known) -> None:
        """What is asked whether it is there need not be; the keys it is asked by must."""
        if _root(node) is None:
            if node is not None:
                self.expression(node, known)
            return
        while isinstance(node, nodes.Getattr | nodes.Getitem):
            if isinstance(node, nodes.Getitem):
                self.expression(node.arg, known)
            node = node.node

    def _name(self, name: str, known: Known) -> None:
        if name not in known:
            self.required.add(name)
