"""Schemas by file: a YAML of fields, a JSON Schema (`.json`), or a pydantic class (`.py:Class`)."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from processor.lang import bounds, field_document, json_schema, yaml
from processor.lang.fields import Field, Ground, InvalidResult, ResultSchema
from processor.lang.problem import Problem, nearest
from processor.lang.yaml import Path_

SUFFIXES: Final = (".yaml", ".yml", ".json", ".py")


def read_schema(
    file: Path, class_name: str = "", grounds: Mapping[str, Ground] | None = None
) -> tuple[ResultSchema | None, list[Problem]]:
    """The schema in a file, its fields grounded as `grounds` says; or None and what is wrong with it.

    `class_name` is for `.py` files: the pydantic class; by default the only one.
    """
    grounds = grounds or {}
    if file.suffix == ".py":
        return _from_class(file, class_name, grounds)
    document = yaml.load(file)
    if document.problems:
        return None, document.problems
    if file.suffix == ".json" or (isinstance(document.value, dict) and "properties" in document.value):
        return _from_json(document, file.stem, grounds)
    schema, problems = field_document.read(document, file.stem)
    if schema is None:
        return None, problems
    schema = _ground(schema, grounds)
    for names, message, hint in bounds.faults(schema.fields):
        problems.append(document.problem(_yaml_path(names), message, hint, key=True))
    return schema, problems


def place(file: Path, class_name: str, name: str) -> tuple[int, int]:
    """Line and column of a field in the file of a schema that `read_schema` could read."""
    if file.suffix == ".py":
        places = _places(ast.parse(file.read_text(encoding="utf-8")), class_name)
        return places.get(name, places[""])
    document = yaml.load(file)
    part = "properties" if isinstance(document.value, dict) and "properties" in document.value else "fields"
    return document.at((part, name), key=True)


def _ground(schema: ResultSchema, grounds: Mapping[str, Ground]) -> ResultSchema:
    return schema.grounded({name: ground for name, ground in grounds.items() if name in schema.fields})


def _yaml_path(names: tuple[str, ...]) -> Path_:
    return tuple(part for name in names for part in ("fields", name))


def _from_json(
    document: yaml.Document, name: str, grounds: Mapping[str, Ground]
) -> tuple[ResultSchema | None, list[Problem]]:
    value = document.value
    if not isinstance(value, dict):
        return None, [document.problem((), "a JSON Schema must be an object")]
    reader = json_schema.Reader(value)
    # An optional member is one that may be null: templates and predicates always find it.
    fields = {
        name: one if one.required else replace(one, required=True, nullable=True)
        for name, one in reader.fields().items()
    }
    problems = [document.problem(path, message, hint, key=True) for path, message, hint in reader.faults]
    schema = _ground(
        ResultSchema(name, fields, int(value.get("version", 1)), str(value.get("description", ""))), grounds
    )
    for names, message, hint in bounds.faults(schema.fields):
        path = tuple(part for one in names for part in ("properties", one))
        problems.append(document.problem(path, message, hint, key=True))
    return (None if reader.faults else schema), problems


def _from_class(file: Path, name: str, grounds: Mapping[str, Ground]) -> tuple[ResultSchema | None, list[Problem]]:
    try:
        source = file.read_text(encoding="utf-8")
        tree = ast.parse(source)
    except SyntaxError as exc:
        return None, [Problem(file, exc.lineno or 1, exc.offset or 1, f"not valid Python: {exc.msg}")]
    except OSError as exc:
        return None, [Problem(file, 1, 1, f"can't be read: {exc.strerror}")]
    try:
        module = _imported(file)
    except (ImportError, NameError, TypeError, ValueError, AttributeError, OSError) as exc:
        said = re.sub(r" \(/.*\)$", "", str(exc))
        return None, [Problem(file, 1, 1, f"can't be imported: {type(exc).__name__}: {said}")]
    classes = {
        key: value for key, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, BaseModel) and value.__module__ == module.__name__
    }  # fmt: skip
    if name not in classes:
        return None, [Problem(file, 1, 1, f"has no pydantic class {name!r}", nearest(name, classes))]
    model = classes[name]
    reader = json_schema.Reader(model.model_json_schema())
    schema = ResultSchema(
        name, _documented(reader.fields(), model), 1, (model.__doc__ or "").strip(), _converter(model)
    )
    schema = _ground(replace(schema, version=int(getattr(module, "VERSION", 1))), grounds)
    places = _places(tree, name)
    problems = [
        Problem(file, *places.get(_field_of(path), places[""]), message, hint) for path, message, hint in reader.faults
    ]
    for names, message, hint in bounds.faults(schema.fields):
        problems.append(Problem(file, *places.get(names[0], places[""]), message, hint))
    return (None if reader.faults else schema), problems


def _imported(file: Path) -> Any:
    """The module in `file`, imported by path under a name of its own: no package of that name is shadowed."""
    spec = importlib.util.spec_from_file_location(f"_faultstream_schema_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file.name} is no Python module")
    module = importlib.util.module_from_spec(spec)
    # pydantic looks annotations up in sys.modules while the classes are made.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _documented(fields: dict[str, Field], model: type[BaseModel]) -> dict[str, Field]:
    """Enum definitions from `json_schema_extra={"definitions": {value: text}}` of a field, if it has them."""
    result = dict(fields)
    for name, info in model.model_fields.items():
        extra = info.json_schema_extra
        texts = extra.get("definitions") if isinstance(extra, dict) else None
        if name in result and isinstance(texts, dict):
            enum = {value: str(texts.get(value, "")) for value in result[name].enum}
            result[name] = replace(result[name], enum=enum)
    return result


def _converter(model: type[BaseModel]) -> Any:
    def convert(values: dict[str, Any]) -> dict[str, Any]:
        try:
            return model.model_validate(values).model_dump(mode="json")
        except ValidationError as exc:
            messages = [".".join(map(str, one["loc"])) + ": " + one["msg"] for one in exc.errors()]
            raise InvalidResult(messages) from exc

    return convert


def _field_of(path: Path_) -> str:
    return str(path[1]) if len(path) > 1 and path[0] == "properties" else ""


def _places(tree: ast.Module, name: str) -> dict[str, tuple[int, int]]:
    """Line and column of the class ("") and of each of its fields."""
    places = {"": (1, 1)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            places[""] = (node.lineno, node.col_offset + 1)
            for one in node.body:
                if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
                    places[one.target.id] = (one.lineno, one.col_offset + 1)
    return places
