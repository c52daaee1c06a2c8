"""The mutants of a module: its text with one operator, constant or condition changed."""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq}
_COMPARISONS |= {
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
_OPERATORS |= {ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr}
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
    elif changed := _changed(node):
        # In parentheses, because what stands around it does not change.
        yield f"({ast.unparse(changed)})"


def _changed(node: ast.expr) -> ast.expr | None:
    """Return an expression with another operator, order or function; None where there is none to change."""
    match node:
        case ast.Compare(left, [first, *rest], right) if type(first) in _COMPARISONS:
            return ast.Compare(left, [_COMPARISONS[type(first)](), *rest], right)
        case ast.BinOp(left, operator, right) if type(operator) in _OPERATORS:
            return ast.BinOp(left, _OPERATORS[type(operator)](), right)
        case ast.BoolOp(operator, values):
            return ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
        case ast.UnaryOp(_, operand):
            return operand
        case ast.IfExp(test, body, orelse):
            return ast.IfExp(test, orelse, body)
        case ast.Call(function, arguments, keywords) if renamed := _renamed(function):
            return ast.Call(renamed, arguments, keywords)
    return None


def _constants(value: object) -> Iterator[str]:
    if isinstance(value, bool):
        yield str(not value)
    elif isinstance(value, int):
        yield str(value + 1)
    elif isinstance(value, float):
        yield repr(value * 2 if value else 1.0)


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
