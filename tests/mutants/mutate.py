"""The mutants of a module: its text with one operator, constant or condition changed."""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "=="}
_COMPARISONS |= {ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is"}
_OPERATORS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "//"}
_OPERATORS |= {ast.Pow: "*", ast.BitOr: "&", ast.BitAnd: "|"}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "argmin": "argmax", "argmax": "argmin"}
_NAMES |= {"minimum": "maximum", "maximum": "minimum", "mean": "sum", "sum": "mean", "argsort": "argmax"}


@dataclass(frozen=True)
class Mutant:
    """One change of a module.

    Attributes:
        module: path below the package.
        function: qualified name of the function that holds the change; empty at the module's top level.
        before, after: the expression that is changed, as it was and as it becomes.
        occurrence: which of several equal changes inside the function, from 0.
        start, end: offsets of ``before`` in the module's UTF-8 text.
    """

    module: str
    function: str
    before: str
    after: str
    occurrence: int
    start: int
    end: int

    @property
    def name(self) -> str:
        """What names the mutant as long as its function says the same, wherever it stands."""
        nth = f" ({self.occurrence + 1})" if self.occurrence else ""
        return f"{self.module} {self.function or 'module'}: {self.before} → {self.after}{nth}"

    @property
    def lot(self) -> str:
        """A digest of the name: the mutants of the smallest lots are drawn, whatever else changes."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    def applied(self, text: str) -> str:
        """Return the module's text with this change."""
        source = text.encode()
        return (source[: self.start] + self.after.encode() + source[self.end :]).decode()


def mutants(module: str, text: str) -> list[Mutant]:
    """Return all mutants of a module's text, in their order in it."""
    seen: dict[tuple[str, str, str], int] = {}
    found = []
    for function, node, after in _changes(ast.parse(text), ""):
        start, end = _offsets(text, node)
        before = " ".join(text.encode()[start:end].decode().split())
        change = function, before, " ".join(after.split())
        occurrence = seen[change] = seen.get(change, -1) + 1
        found.append(Mutant(module, *change, occurrence, start, end))
    return found


def _changes(node: ast.AST, function: str) -> Iterator[tuple[str, ast.AST, str]]:
    """Yield function, node and new text of every change below a node."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}" if function else node.name
        children: list[ast.AST] = list(node.body)
        if isinstance(node, ast.FunctionDef):
            children += [default for default in (*node.args.defaults, *node.args.kw_defaults) if default]
    elif isinstance(node, ast.AnnAssign):
        children = [node.value] if node.value else []
    elif _says_nothing(node):
        return
    else:
        children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.expr):
        yield from ((function, node, after) for after in _alternatives(node))
    for child in children:
        yield from _changes(child, function)


def _says_nothing(node: ast.AST) -> bool:
    """Docstrings, messages and imports decide no number."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    return isinstance(node, ast.Raise | ast.Import | ast.ImportFrom | ast.JoinedStr)


def _alternatives(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        yield from _constants(node.value)
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        rest = [_symbol(operator) + ast.unparse(right) for operator, right in _pairs(node)[1:]]
        first = (
            f"{ast.unparse(node.left)} {_COMPARISONS[type(node.ops[0])]} {ast.unparse(node.comparators[0])}"
        )
        yield f"({first}{''.join(rest)})"
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        yield f"({ast.unparse(node.left)} {_OPERATORS[type(node.op)]} {ast.unparse(node.right)})"
    elif isinstance(node, ast.BoolOp):
        yield f"({(' or ' if isinstance(node.op, ast.And) else ' and ').join(map(ast.unparse, node.values))})"
    elif isinstance(node, ast.UnaryOp):
        yield f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.IfExp):
        yield f"({ast.unparse(node.orelse)} if {ast.unparse(node.test)} else {ast.unparse(node.body)})"
    elif isinstance(node, ast.Call) and (renamed := _renamed(node.func)):
        yield ast.unparse(ast.Call(renamed, node.args, node.keywords))


def _constants(value: object) -> Iterator[str]:
    if isinstance(value, bool):
        yield str(not value)
    elif isinstance(value, int):
        yield str(value + 1)
    elif isinstance(value, float):
        yield repr(value * 2 if value else 1.0)


def _pairs(node: ast.Compare) -> list[tuple[ast.cmpop, ast.expr]]:
    return list(zip(node.ops, node.comparators, strict=True))


def _symbol(operator: ast.cmpop) -> str:
    """Return a comparison's operator as text, with its spaces."""
    return ast.unparse(ast.Compare(ast.Name("a"), [operator], [ast.Name("b")]))[1:-1]


def _renamed(function: ast.expr) -> ast.expr | None:
    if isinstance(function, ast.Name) and function.id in _NAMES:
        return ast.Name(_NAMES[function.id])
    if isinstance(function, ast.Attribute) and function.attr in _NAMES:
        return ast.Attribute(function.value, _NAMES[function.attr])
    return None


def _offsets(text: str, node: ast.AST) -> tuple[int, int]:
    lines = text.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
