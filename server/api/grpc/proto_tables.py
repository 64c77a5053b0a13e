"""Messages and services of protobuf, written down as tables of short texts, where a compiler would need its own files.

    {"ModelIndex": "string name = 1; repeated string versions = 2; map Value more = 3; oneof bool yes = 4"}

Types are protobuf's scalars, or other messages and enumerations of the file. All `oneof`s of a message are one. The
keys of a `map` are strings.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

_FIELD = re.compile(r"(?:(repeated|map|oneof) )?(\w+) (\w+) = (\d+)")
_SCALARS = {"bool", "bytes", "int32", "int64", "string", "uint32", "uint64"}


def add_enum(file: FileDescriptorProto, name: str, values: Iterable[str]) -> None:
    """An enumeration, numbered from 0."""
    enum = file.enum_type.add(name=name)
    for number, value in enumerate(values):
        enum.value.add(name=value, number=number)


def add_messages(file: FileDescriptorProto, table: Mapping[str, str], enums: Collection[str] = ()) -> None:
    """The messages of a table; `enums` are those of its types that are enumerations.

    Raises:
        ValueError: a field is not written as above.
    """
    for name, fields in table.items():
        message = file.message_type.add(name=name)
        for text in filter(None, fields.split("; ")):
            if (found := _FIELD.fullmatch(text)) is None:
                raise ValueError(f"{name}: {text!r} is no field")
            kind, type_, field_name, number = found.groups()
            field = message.field.add(name=field_name, number=int(number), json_name=field_name)
            field.label = _label(kind)
            if kind == "map":
                _set_type(field, _map_entry(file.package, message, field_name, type_), (), nested=name)
            else:
                _set_type(field, type_, enums, package=file.package)
            if kind == "oneof":
                if not message.oneof_decl:
                    message.oneof_decl.add(name="choice")
                field.oneof_index = 0


def add_methods(file: FileDescriptorProto, service: str, table: Mapping[str, str]) -> None:
    """Methods of a service, which may be there: "Request -> Response", each with "stream " before it or not."""
    found = next((each for each in file.service if each.name == service), None) or file.service.add(name=service)
    for name, types in table.items():
        taken, given = types.split(" -> ")
        found.method.add(
            name=name,
            input_type=f".{file.package}.{taken.removeprefix('stream ')}",
            output_type=f".{file.package}.{given.removeprefix('stream ')}",
            client_streaming=taken.startswith("stream "),
            server_streaming=given.startswith("stream "),
        )


def _label(kind: str | None) -> FieldDescriptorProto.Label.ValueType:
    repeated = kind in ("repeated", "map")
    return FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL


def _set_type(
    field: FieldDescriptorProto, type_: str, enums: Collection[str], package: str = "", nested: str = ""
) -> None:
    if type_ in _SCALARS:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{type_.upper()}")
        return
    field.type = FieldDescriptorProto.TYPE_ENUM if type_ in enums else FieldDescriptorProto.TYPE_MESSAGE
    field.type_name = f".{package}.{type_}" if not nested else type_


def _map_entry(package: str, message: DescriptorProto, field: str, type_: str) -> str:
    """The message that protobuf makes of a map's entry; its name."""
    entry = message.nested_type.add(name=f"{field.title().replace('_', '')}Entry")
    entry.options.map_entry = True
    key = entry.field.add(name="key", number=1, label=FieldDescriptorProto.LABEL_OPTIONAL)
    key.type = FieldDescriptorProto.TYPE_STRING
    value = entry.field.add(name="value", number=2, label=FieldDescriptorProto.LABEL_OPTIONAL)
    _set_type(value, type_, (), package=package)
    return f".{package}.{message.name}.{entry.name}"
