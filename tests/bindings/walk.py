"""Every name of tensorrt that a set of scripts uses, found by following values through their syntax trees.

What is followed: the module itself (``import tensorrt``, or a parameter named ``trt``), its classes, their
instances, what their methods return as the bindings' own signatures say, assignments to names and to
``self.…``, and values handed to functions and classes of the scripts themselves. What leaves the scripts (to
the standard library, to numpy) is not followed, for nothing of ours is asked of it there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

MODULE = "tensorrt"
AS_IT_RUNS = "<as it runs>"  # a name that no syntax tree holds


class Value(NamedTuple):
    """What an expression is: the module, a class, a method, or an instance of a class (its ``name``)."""

    kind: str
    name: str
    member: str = ""


class Use(NamedTuple):
    """One attribute that is asked of something of tensorrt; ``guarded`` by hasattr or a getattr's default."""

    owner: str
    attribute: str
    guarded: bool
    where: str


class Scripts:
    """The functions and classes of some scripts, by their bare names, which have to differ."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.functions: dict[str, tuple[ast.FunctionDef, str]] = {}
        self.classes: dict[str, tuple[ast.ClassDef, str]] = {}
        for path, source in sources.items():
            for node in ast.parse(source).body:
                if isinstance(node, ast.FunctionDef):
                    self.functions[node.name] = node, path
                elif isinstance(node, ast.ClassDef):
                    self.classes[node.name] = node, path


def uses(sources: Mapping[str, str], bindings: Mapping[str, Any]) -> set[Use]:
    """Every use in the scripts.

    Args:
        sources: Each script's text by its name.
        bindings: What ``probe.py`` says of one version.
    """
    walk = _Walk(Scripts(sources), bindings)
    module = Value("module", MODULE)
    for function, path in walk.scripts.functions.values():
        walk.function(function, path, {a.arg: module for a in _parameters(function) if a.arg == "trt"})
    for kind, path in walk.scripts.classes.values():
        walk.instance(kind, path, {})
    return walk.found


def absent(found: Iterable[Use], bindings: Mapping[str, Any]) -> set[Use]:
    """The uses of what these bindings have not."""
    classes: Mapping[str, Any] = bindings["classes"]
    known = {MODULE: {*bindings["names"], *classes}, **classes}
    return {use for use in found if use.attribute not in known.get(use.owner, ())}


class _Walk:
    def __init__(self, scripts: Scripts, bindings: Mapping[str, Any]) -> None:
        self.scripts = scripts
        self.bindings = bindings
        self.found: set[Use] = set()
        self._results: dict[Any, Value | None] = {}

    def function(self, node: ast.FunctionDef, path: str, given: Mapping[str, Value]) -> Value | None:
        key = node.name, path, node.lineno, tuple(sorted(given.items()))
        if key not in self._results:
            self._results[key] = None  # what calls itself returns nothing new
            body = _Body(self, node, path, given)
            self._results[key] = body.returned
        return self._results[key]

    def instance(self, node: ast.ClassDef, path: str, given: Mapping[str, Value]) -> None:
        methods = [m for m in node.body if isinstance(m, ast.FunctionDef)]
        fields: dict[str, Value] = {}
        for method in sorted(methods, key=lambda m: m.name != "__init__"):
            own = {a.arg: Value("module", MODULE) for a in _parameters(method) if a.arg == "trt"}
            _Body(self, method, path, {**own, **(given if method.name == "__init__" else {})}, fields)


class _Body:
    """A function's body, followed from top to bottom."""

    def __init__(
        self,
        walk: _Walk,
        node: ast.FunctionDef,
        path: str,
        given: Mapping[str, Value],
        fields: dict[str, Value] | None = None,
    ) -> None:
        self._walk, self._path, self._fields = walk, path, fields
        self._names: dict[str, Value] = dict(given)
        self._guards = _guards(node)
        self.returned: Value | None = None
        for statement in node.body:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == MODULE:
                    self._names[alias.asname or alias.name] = Value("module", MODULE)
        elif isinstance(node, ast.Return):
            self.returned = (node.value and self._value(node.value)) or self.returned
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if node.value is not None:
                for target in targets:
                    self._bind(target, node.value)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.stmt):
                    self._statement(child)
                elif isinstance(child, ast.expr):
                    self._value(child)
                else:  # handlers, withitems
                    for inner in ast.walk(child):
                        if isinstance(inner, ast.stmt):
                            self._statement(inner)

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for part, of in zip(target.elts, value.elts, strict=True):
                self._bind(part, of)
            return
        found = self._value(value)
        if isinstance(target, ast.Name):
            if found is not None:
                self._names[target.id] = found
            else:
                self._names.pop(target.id, None)
        elif isinstance(target, ast.Attribute):
            if _is_self(target.value) and self._fields is not None:
                if found is not None:
                    self._fields[target.attr] = found
            else:
                self._value(target)  # setting is a use too

    def _value(self, node: ast.expr) -> Value | None:
        if isinstance(node, ast.Name):
            return self._names.get(node.id)
        if isinstance(node, ast.Attribute):
            if _is_self(node.value):
                return (self._fields or {}).get(node.attr)
            return self._attribute(self._value(node.value), node.attr, node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.IfExp):
            self._value(node.test)
            one, other = self._value(node.body), self._value(node.orelse)
            return one or other
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.comprehension):
                for part in (child.iter, *child.ifs):
                    self._value(part)
            elif isinstance(child, ast.expr):
                self._value(child)
        return None

    def _attribute(
        self, owner: Value | None, attribute: str, node: ast.expr, certain: bool = False
    ) -> Value | None:
        if owner is None or owner.kind == "method":
            return None
        asked = {(self._owner(of), name) for of, name in self._guards}
        guarded = certain or (owner.name, attribute) in asked
        self._walk.found.add(Use(owner.name, attribute, guarded, f"{self._path}:{node.lineno}"))
        classes = self._walk.bindings["classes"]
        if owner.kind == "module":
            return Value("class", attribute) if attribute in classes else None
        results = [name for name in classes.get(owner.name, {}).get(attribute, ()) if name in classes]
        if owner.kind == "class" and results == [owner.name]:
            return Value("instance", owner.name)  # an enumerator
        return Value("method", owner.name, results[0]) if results else Value("method", owner.name)

    def _call(self, node: ast.Call) -> Value | None:
        arguments = [self._value(argument) for argument in node.args]
        keywords = {k.arg: self._value(k.value) for k in node.keywords}
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if isinstance(node.func, ast.Name) and name in ("getattr", "hasattr"):
            return self._asked(node, arguments)
        function = self._value(node.func)
        if function is not None:
            if function.kind == "class":
                return Value("instance", function.name)
            return Value("instance", function.member) if function.member else None
        own = self._walk.scripts.functions.get(name) or self._walk.scripts.classes.get(name)
        if own is None:
            return None
        definition, path = own
        if isinstance(definition, ast.ClassDef):
            inits = [m for m in definition.body if getattr(m, "name", "") == "__init__"]
            if inits and isinstance(inits[0], ast.FunctionDef):
                parameters = [a.arg for a in _parameters(inits[0])][1:]
                self._walk.instance(definition, path, _bound(parameters, arguments, keywords))
            return None
        parameters = [a.arg for a in _parameters(definition)]
        return self._walk.function(definition, path, _bound(parameters, arguments, keywords))

    def _asked(self, node: ast.Call, arguments: list[Value | None]) -> Value | None:
        """A getattr or a hasattr: of a name that is written there, or of one only known as it runs."""
        owner, name = arguments[0], node.args[1]
        if owner is None:
            return None
        certain = len(node.args) == 3 or getattr(node.func, "id", "") == "hasattr"
        if isinstance(name, ast.Constant):
            return self._attribute(owner, str(name.value), node, certain)
        dynamic = {self._owner(of) for of, written in self._guards if written is None}
        where = f"{self._path}:{node.lineno}"
        self._walk.found.add(Use(owner.name, AS_IT_RUNS, certain or owner.name in dynamic, where))
        return None

    def _owner(self, node: ast.expr) -> str:
        """What a guard is about, without counting it as a use of its own."""
        if isinstance(node, ast.Name):
            found = self._names.get(node.id)
            return found.name if found else ""
        return node.attr if isinstance(node, ast.Attribute) else ""


def _guards(function: ast.FunctionDef) -> list[tuple[ast.expr, str | None]]:
    """What the function asks hasattr of, and for which name; None for one that is not written there."""
    return [
        (node.args[0], str(node.args[1].value) if isinstance(node.args[1], ast.Constant) else None)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hasattr"
    ]


def _bound(
    parameters: list[str], arguments: list[Value | None], keywords: Mapping[str | None, Value | None]
) -> dict[str, Value]:
    given = [*zip(parameters, arguments, strict=False), *keywords.items()]
    return {name: value for name, value in given if name is not None and value is not None}


def _parameters(function: ast.FunctionDef) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"
