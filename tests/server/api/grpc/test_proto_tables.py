"""Tables to descriptors: what they make is read by protobuf as a compiler's would be."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass

from server.api.grpc.proto_tables import add_enum, add_messages, add_methods

TABLE = {
    "Inner": "oneof bool yes = 1; oneof string word = 2",
    "Outer": "string name = 1; repeated int64 sizes = 4; map Inner more = 5; Colour colour = 6; repeated Inner all = 7",
}
DOCUMENT = {
    "name": "a", "sizes": ["1", "2"], "more": {"k": {"word": ""}}, "colour": "RED", "all": [{"yes": True}],
}  # fmt: skip


def pool() -> DescriptorPool:
    file = FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    add_enum(file, "Colour", ["NONE", "RED"])
    add_messages(file, TABLE, {"Colour"})
    add_methods(file, "Service", {"Ask": "Inner -> stream Outer"})
    add_methods(file, "Service", {"Tell": "stream Outer -> Inner"})
    made = DescriptorPool()
    made.AddSerializedFile(file.SerializeToString())
    return made


def test_every_kind_of_field_is_written_and_read() -> None:
    made = pool()
    outer = GetMessageClass(made.FindMessageTypeByName("t.Outer"))
    message = ParseDict(DOCUMENT, outer(), descriptor_pool=made)
    again = outer.FromString(message.SerializeToString())
    assert MessageToDict(again, preserving_proto_field_name=True) == DOCUMENT
    assert message.SerializeToString()[:3] == b"\x0a\x01a", "field 1, as protobuf writes it"
    assert again.more["k"].WhichOneof("choice") == "word"
    assert again.all[0].WhichOneof("choice") == "yes"


def test_methods_stream_where_they_say_so() -> None:
    service = pool().FindServiceByName("t.Service")
    kinds = {method.name: (method.client_streaming, method.server_streaming) for method in service.methods}
    assert kinds == {"Ask": (False, True), "Tell": (True, False)}


def test_what_is_no_field_is_refused() -> None:
    with pytest.raises(ValueError, match="M: 'string name' is no field"):
        add_messages(FileDescriptorProto(), {"M": "string name"})
