"""What may be changed in a program: for a node of its syntax tree, everything that may stand in its place.

Not changed: docstrings, annotations, decorators, ``__all__``, ``__slots__``, imports, assertions, what stands under
``if TYPE_CHECKING``, ``__repr__`` and ``__str__``, and wording: f-strings, strings in calls, calls of a logger.
"""

from __future__ import annotations

import ast
import copy
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["replacements", "skipped"]

_Node = TypeVar("_Node", bound=ast.AST)

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_METHODS = {"popleft": "pop", "appendleft": "append", "add_done_callback": "remove_done_callback"}
_UNTOUCHED_FUNCTIONS = {"__repr__", "__str__"}
_UNTOUCHED_NAMES = {"__all__", "__slots__", "__match_args__"}
_LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def skipped(node: ast.AST, field: str) -> bool:
    """Whether ``node``, which stands in ``field`` of its parent, and all below it is left as it is."""
    if field in {"annotation", "returns", "decorator_list", "type_params", "type_comment"}:
        return True
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.JoinedStr() | ast.TypeIgnore():
            return True
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name in _UNTOUCHED_FUNCTIONS
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name in _UNTOUCHED_NAMES or _makes_types(node.value)
        case ast.AnnAssign(annotation=annotation):
            return "TypeAlias" in ast.unparse(annotation)
        case ast.Raise(exc=ast.Call(func=ast.Name(id="AssertionError"))):
            return True
        case ast.Expr(value=ast.Constant()):
            return True  # a docstring, or an ellipsis
        case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=method)):
            return method in _LOG_METHODS and owner.strip("_").lower() in {"log", "logger"}
    return False


def replacements(node: ast.AST, parent: ast.AST | None, field: str) -> Iterator[tuple[str, ast.AST]]:
    """(operator, node) for each node that may stand in the place of ``node``."""
    if isinstance(node, ast.stmt):
        yield from _of_statement(node)
    elif isinstance(node, ast.expr):
        yield from _of_condition(node, parent, field)
        yield from _of_expression(node, parent, field)
    elif isinstance(node, ast.ExceptHandler) and node.type is not None:
        yield from _of_handler(node)


def _of_statement(node: ast.stmt) -> Iterator[tuple[str, ast.AST]]:
    if _is_removable(node):
        yield "statement", ast.Pass()
    match node:
        case ast.Break():
            yield "break", ast.Continue()
        case ast.Continue():
            yield "continue", ast.Break()
        case ast.Return(value=None):
            yield "return", ast.Pass()
        case ast.Return(value=ast.Constant(value=None | bool())):
            pass  # None says nothing else, and True and False are constants
        case ast.Return():
            yield "return", ast.Return(value=ast.Constant(value=None))
        case ast.Raise(exc=raised):
            yield "raise", ast.Pass()
            if isinstance(raised, ast.Call):
                yield "exception", ast.Raise(exc=ast.Name(id="RuntimeError", ctx=ast.Load()), cause=None)
        case ast.AugAssign(op=op) if type(op) in _ARITHMETIC:
            yield "arithmetic", _with(node, op=_ARITHMETIC[type(op)]())
        case ast.For():
            yield "loop", _with(node, iter=ast.Tuple(elts=[], ctx=ast.Load()))


def _is_removable(node: ast.stmt) -> bool:
    """What a function does, beyond binding its own names for the first time."""
    match node:
        case ast.Delete() | ast.AugAssign() | ast.Expr(value=ast.Call() | ast.Await()):
            return True
        case ast.Assign(targets=targets):
            return any(isinstance(each, ast.Attribute | ast.Subscript) for each in targets)
        case ast.AnnAssign(target=ast.Attribute() | ast.Subscript(), value=ast.expr()):
            return True
    return False


def _of_condition(node: ast.expr, parent: ast.AST | None, field: str) -> Iterator[tuple[str, ast.AST]]:
    """A condition becomes its contrary, where no other change does just that."""
    asked = (field == "test" and isinstance(parent, ast.If | ast.While | ast.IfExp)) or (
        field == "ifs" and isinstance(parent, ast.comprehension)
    )
    if not asked or isinstance(node, ast.Constant) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
        return
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and not isinstance(node.ops[0], _ORDER):
        return
    yield "condition", ast.UnaryOp(op=ast.Not(), operand=node)


def _of_expression(node: ast.expr, parent: ast.AST | None, field: str) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Constant(value=value):
            yield from _of_constant(value, parent, field)
        case ast.Compare(ops=ops):
            for place, op in enumerate(ops):
                yield "comparison", _with(node, ops=[*ops[:place], _COMPARISONS[type(op)](), *ops[place + 1 :]])
        case ast.BoolOp(op=op, values=values):
            yield "boolean", _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
            for place in range(len(values)):
                left = [*values[:place], *values[place + 1 :]]
                yield "operand", left[0] if len(left) == 1 else _with(node, values=left)
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            yield "arithmetic", _with(node, op=_ARITHMETIC[type(op)]())
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
            yield "unary", operand
        case ast.Call(func=ast.Name(id=name)) if name in _NAMES:
            yield "function", _with(node, func=ast.Name(id=_NAMES[name], ctx=ast.Load()))
        case ast.Call(func=ast.Attribute(attr=name) as func) if name in _METHODS:
            yield "function", _with(node, func=_with(func, attr=_METHODS[name]))


def _of_constant(value: object, parent: ast.AST | None, field: str) -> Iterator[tuple[str, ast.AST]]:
    match value:
        case bool():
            yield "constant", ast.Constant(value=not value)
        case int():
            yield "constant", ast.Constant(value=value + 1)
        case float():
            yield "constant", ast.Constant(value=value * 2 or 1.0)
        case str() if _is_a_key(parent, field):
            yield "constant", ast.Constant(value=f"not {value}")


def _is_a_key(parent: ast.AST | None, field: str) -> bool:
    """Whether a string there is compared or looked up, and no wording."""
    match parent:
        case ast.Compare() | ast.MatchValue() | ast.Return():
            return True
        case ast.Subscript():
            return field == "slice"
        case ast.Dict():
            return field == "keys"
        case ast.Assign(targets=[ast.Name()]) | ast.AnnAssign(target=ast.Name()):
            return field == "value"
    return False


def _of_handler(node: ast.ExceptHandler) -> Iterator[tuple[str, ast.AST]]:
    """Each type that is caught is no more; all of them for a single one."""
    caught = node.type
    if isinstance(caught, ast.Tuple):
        for place in range(len(caught.elts)):
            kept = [*caught.elts[:place], *caught.elts[place + 1 :]]
            yield "exception", _with(node, type=_with(caught, elts=kept))
    else:
        yield "exception", _with(node, type=ast.Tuple(elts=[], ctx=ast.Load()))


def _makes_types(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id.endswith("Var")


def _with(node: _Node, **fields: object) -> _Node:
    """A copy of ``node`` with other ``fields``; what is below is shared."""
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
