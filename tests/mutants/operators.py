"""Mistakes that people make in code like ours: a lock, an order, a bound or a condition is left out.

In the way of cosmic-ray: an operator names the places in a syntax tree of parso where it could go wrong, and does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator
from parso.python.tree import Name

Node: Any = Any

CALLS = {"with_for_update", "order_by", "limit", "desc", "where", "filter", "on_conflict_do_nothing", "distinct"}
LISTS = {"where", "filter", "and_", "or_", "exists", "order_by"}
BOUNDS = {"min": "max", "max": "min"}
SQL = (
    r"\s+FOR (?:NO KEY )?(?:UPDATE|SHARE)(?: OF \w+)?(?: SKIP LOCKED)?",
    r"\s+SKIP LOCKED",
    r"\s+ORDER BY [^\n)]*?(?=\s+LIMIT|\s+FOR |\n|\)|$)",
    r"\s+LIMIT [:$]\w+",
    r"\s+(?:AND|OR) [^\n]+",
)
"""What can be left out of a statement and leaves one."""


class _Swap(Operator):  # type: ignore[misc]
    """Replaces the text of a node by each of its `choices`."""

    def choices(self, node: Node) -> list[str]:
        raise NotImplementedError

    def mutation_positions(self, node: Node) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        for _ in self.choices(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Node, index: int) -> Node:
        code = node.get_first_leaf().prefix + self.choices(node)[index]
        leaf = Name(code, node.start_pos)
        leaf.parent = node.parent
        return leaf

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


def _code(node: Node) -> str:
    text: str = node.get_code(include_prefix=False)
    return text


def _arguments(call: Node) -> list[Node]:
    """The arguments of a call's parentheses."""
    inside = call.children[1:-1]
    if inside and inside[0].type == "arglist":
        inside = inside[0].children
    return [each for each in inside if _code(each) != ","]


class LeaveOutCall(_Swap):
    """`select(x).with_for_update()` → `select(x)`."""

    def choices(self, node: Node) -> list[str]:
        if node.type not in ("atom_expr", "power"):
            return []
        found = []
        parts = node.children
        for i in range(1, len(parts) - 1):
            name, call = parts[i], parts[i + 1]
            called = _code(name).removeprefix(".")
            if name.type == call.type == "trailer" and called in CALLS and _code(call).startswith("("):
                rest = [*parts[:i], *parts[i + 2 :]]
                found.append("".join(each.get_code() for each in rest).strip())
        return found


class LeaveOutArgument(_Swap):
    """`where(a, b)` → `where(a)`."""

    def choices(self, node: Node) -> list[str]:
        if node.type != "trailer" or not _code(node).startswith("("):
            return []
        before = node.get_previous_sibling()
        if before is None or _code(before).rsplit(".", 1)[-1] not in LISTS:
            return []
        given = [_code(each) for each in _arguments(node)]
        if len(given) < 2:
            return []
        return [f"({', '.join(given[:i] + given[i + 1 :])})" for i in range(len(given))]


class Bound(_Swap):
    """`min(a, b)` → `max(a, b)`, `a`, `b`."""

    def choices(self, node: Node) -> list[str]:
        if node.type not in ("atom_expr", "power") or len(node.children) != 2:
            return []
        name, call = node.children
        if _code(name) not in BOUNDS or call.type != "trailer":
            return []
        given = [_code(each) for each in _arguments(call)]
        if len(given) != 2:
            return []
        return [f"{BOUNDS[_code(name)]}{_code(call)}", *(f"({each})" for each in given)]


class LeaveOutCondition(_Swap):
    """`a and b` → `a`, `b`; `if` of a comprehension → none."""

    def choices(self, node: Node) -> list[str]:
        if node.type not in ("and_test", "or_test"):
            return []
        word = " and " if node.type == "and_test" else " or "
        parts = [_code(each) for each in node.children[::2]]
        return [f"({word.join(parts[:i] + parts[i + 1 :])})" for i in range(len(parts))]


class LeaveOutStatement(_Swap):
    """`do(it)`, `raise X`, `x = y.z` → `pass`: what nobody would miss."""

    def choices(self, node: Node) -> list[str]:
        if node.type == "raise_stmt":
            return ["pass"]
        if node.parent is None or node.parent.type != "simple_stmt" or node.type == "string":
            return []
        is_call = node.type in ("atom_expr", "power") and _code(node).endswith(")")
        is_change = node.type == "expr_stmt" and re.match(r"[\w.\[\]]+ [-+|]?= |\w+\.\w+", _code(node)) is not None
        return ["pass"] if is_call or (is_change and "." in _code(node).split("=")[0]) else []


class LeaveOutSql(_Swap):
    """A lock, an order, a limit or a condition of a statement in SQL."""

    def choices(self, node: Node) -> list[str]:
        code = _code(node)
        if node.type != "string" or not re.search(r"\b(SELECT|UPDATE|INSERT|DELETE)\b", code):
            return []
        found = []
        for pattern in SQL:
            for match in re.finditer(pattern, code):
                left = code[: match.start()] + code[match.end() :]
                if left.endswith(code[-1]) and left != code:
                    found.append(left)
        return found


OWN = {kind.__name__: kind for kind in (
    LeaveOutCall, LeaveOutArgument, Bound, LeaveOutCondition, LeaveOutStatement, LeaveOutSql,
)}  # fmt: skip
FROM_COSMIC_RAY = (
    "AddNot",
    "NumberReplacer",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_Div",
    *(
        f"ReplaceComparisonOperator_{pair}"
        for pair in ("Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Is_IsNot", "IsNot_Is")
    ),
)


def operators() -> dict[str, Operator]:
    """All that are used, by name."""
    return {name: get_operator(f"core/{name}")() for name in FROM_COSMIC_RAY} | {n: kind() for n, kind in OWN.items()}
