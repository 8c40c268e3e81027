"""Can one Avro schema read what another wrote? Avro's rules of schema resolution; pure.

Logical types don't count: everybody here reads plain integers and bytes.
"""

from __future__ import annotations

import re
from typing import Any

PRIMITIVES = frozenset(("null", "boolean", "int", "long", "float", "double", "bytes", "string"))
NAMED = frozenset(("record", "error", "enum", "fixed"))
PROMOTIONS = {  # written as -> can also be read as
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
    "string": ("bytes",),
    "bytes": ("string",),
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")

Node = dict[str, Any]


def compatible(reader: Any, writer: Any) -> list[str]:
    """Why `reader` can't read every record of `writer`: one sentence a problem, with its path; empty: it can.

    Both as JSON gives them. BACKWARD is compatible(new, old), FORWARD is compatible(old, new).
    Raises ValueError where one is no schema.
    """
    ours, theirs = graph(reader), graph(writer)
    comparison = _Comparison()
    # Types may contain themselves: a pair met again counts as readable until it is known not to be. What was built on
    # such a hope (a union's branch, say) may be wrong, so go round until nothing new turns up.
    while True:
        before = comparison.unreadable()
        comparison.visited.clear()
        problems = comparison.problems(ours, theirs, _words(ours).split()[-1])
        if comparison.unreadable() == before:
            return problems


def graph(schema: Any) -> Node:
    """The schema with each mention of a named type replaced by the type itself, so it may be circular; names are full.

    Raises ValueError where it is no Avro schema.
    """
    try:
        return _node(schema, "", {})
    except KeyError as error:
        raise ValueError(f"{error} is missing") from error
    except TypeError as error:
        raise ValueError(str(error)) from error


def _node(schema: Any, namespace: str, named: dict[str, Node]) -> Node:
    if isinstance(schema, str):
        if schema in PRIMITIVES:
            return {"type": schema}
        if (full := _full(schema, namespace)) not in named:
            raise ValueError(f'type "{full}" is not defined')
        return named[full]
    if isinstance(schema, list):
        return _union([_node(branch, namespace, named) for branch in schema])
    if not isinstance(schema, dict):
        raise ValueError(f"{schema!r} is not a type")
    kind = schema["type"]
    if kind == "array":
        return {"type": "array", "items": _node(schema["items"], namespace, named)}
    if kind == "map":
        return {"type": "map", "values": _node(schema["values"], namespace, named)}
    if isinstance(kind, str) and kind in NAMED:
        return _named(schema, namespace, named)
    return _node(kind, namespace, named)  # {"type": "long", "logicalType": …}


def _union(branches: list[Node]) -> Node:
    words = [_words(branch) for branch in branches]
    if "union" in words:
        raise ValueError("a union directly in a union")
    if twice := {word for word in words if words.count(word) > 1}:
        raise ValueError(f"a union with {' and '.join(sorted(twice))} twice")
    return {"type": "union", "branches": branches}


def _named(schema: Node, namespace: str, named: dict[str, Node]) -> Node:
    full = _full(schema["name"], schema.get("namespace", namespace))
    if full in named:
        raise ValueError(f'type "{full}" is defined twice')
    inside = full.rpartition(".")[0]
    kind = "record" if schema["type"] == "error" else schema["type"]
    aliases = [_full(alias, inside) for alias in schema.get("aliases", ())]
    node = named[full] = {"type": kind, "name": full, "aliases": aliases}
    if kind == "fixed":
        node["size"] = schema["size"]
    elif kind == "enum":
        node["symbols"] = schema["symbols"]
        node["default"] = schema.get("default")
    else:
        node["fields"] = [_field(field, inside, named) for field in schema["fields"]]
        names = [field["name"] for field in node["fields"]]
        if len(set(names)) < len(names):
            raise ValueError(f"{full} has two fields of the same name")
    return node


def _field(field: Node, namespace: str, named: dict[str, Node]) -> Node:
    # a default may be null, so what tells is whether there is one
    return {
        "name": _full(field["name"], ""),
        "aliases": field.get("aliases", ()),
        "optional": "default" in field,
        "type": _node(field["type"], namespace, named),
    }


def _full(name: str, namespace: str | None) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f'"{name}" is not a name')
    return f"{namespace}.{name}" if namespace and "." not in name else name


def _words(node: Node) -> str:
    return f"{node['type']} {node['name']}" if "name" in node else node["type"]


def _same_name(reader: Node, writer: Node) -> bool:
    """Avro compares the last parts only, so a type may move to another namespace; a new last part needs an alias."""
    return reader["name"].rpartition(".")[2] == writer["name"].rpartition(".")[2] or writer["name"] in reader["aliases"]


class _Comparison:
    """Pairs of types, by identity in their graphs, and what is wrong with each."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, int], list[str]] = {}
        self.visited: set[tuple[int, int]] = set()

    def unreadable(self) -> set[tuple[int, int]]:
        """The pairs with problems."""
        return {pair for pair, problems in self.known.items() if problems}

    def problems(self, reader: Node, writer: Node, path: str) -> list[str]:
        """What is wrong with this pair. A pair met at several paths tells of the first."""
        pair = (id(reader), id(writer))
        if pair not in self.visited:
            self.visited.add(pair)
            self.known[pair] = list(dict.fromkeys(self._compare(reader, writer, path)))
        return self.known.get(pair, [])

    def _compare(self, reader: Node, writer: Node, path: str) -> list[str]:
        if writer["type"] == "union":
            return [problem for branch in writer["branches"] for problem in self.problems(reader, branch, path)]
        if reader["type"] == "union":
            return self._into_union(reader["branches"], writer, path)
        if reader["type"] != writer["type"]:
            if reader["type"] in PROMOTIONS.get(writer["type"], ()):
                return []
            return [f"{path}: written as {_words(writer)}, can't be read as {_words(reader)}"]
        if "name" in reader and not _same_name(reader, writer):
            return [f"{path}: written as {_words(writer)}, the reader has {_words(reader)} without that alias"]
        return self._same_kind(reader, writer, path)

    def _same_kind(self, reader: Node, writer: Node, path: str) -> list[str]:
        match reader["type"]:
            case "array":
                return self.problems(reader["items"], writer["items"], f"{path}[]")
            case "map":
                return self.problems(reader["values"], writer["values"], f"{path}{{}}")
            case "fixed" if reader["size"] != writer["size"]:
                return [f"{path}: written with {writer['size']} bytes, read with {reader['size']}"]
            case "enum":
                return _unknown_symbols(reader, writer, path)
            case "record":
                return self._fields(reader, writer, path)
        return []

    def _fields(self, reader: Node, writer: Node, path: str) -> list[str]:
        written = {field["name"]: field for field in writer["fields"]}
        problems: list[str] = []
        for field in reader["fields"]:
            name = next((name for name in (field["name"], *field["aliases"]) if name in written), None)
            if name is not None:
                problems += self.problems(field["type"], written[name]["type"], f"{path}.{field['name']}")
            elif not field["optional"]:
                problems.append(f"{path}.{field['name']}: not written, and the reader has no default for it")
        return problems

    def _into_union(self, branches: list[Node], writer: Node, path: str) -> list[str]:
        attempts = [(branch, self.problems(branch, writer, path)) for branch in branches]
        if any(not problems for _, problems in attempts):
            return []
        for branch, problems in attempts:
            if branch["type"] == writer["type"] and ("name" not in branch or _same_name(branch, writer)):
                return problems  # the branch that was meant
        union = ", ".join(map(_words, branches))
        return [f"{path}: written as {_words(writer)}, which no branch of the reader's union reads ({union})"]


def _unknown_symbols(reader: Node, writer: Node, path: str) -> list[str]:
    unknown = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
    if not unknown or reader["default"] is not None:
        return []
    return [f"{path}: the reader doesn't know {', '.join(unknown)}, and its enum has no default"]
