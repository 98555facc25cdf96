#!/usr/bin/env python3
"""A foreign consumer of gannet-probe --kafka: Confluent's client, its deserializers, fastavro and protoc; nothing of ours.

    deploy/kafka/confluent deploy/kafka/read_topic.py read BOOTSTRAP TOPIC FORMAT [REGISTRY]     flows, a line of JSON each
    deploy/kafka/confluent deploy/kafka/read_topic.py bare BOOTSTRAP TOPIC FORMAT SCHEMA_FILE    the same of messages without an id
    deploy/kafka/confluent deploy/kafka/read_topic.py golden FILE FORMAT SCHEMA_FILE             of framed messages, each behind its length
    deploy/kafka/confluent deploy/kafka/read_topic.py register REGISTRY SUBJECT KIND SCHEMA_FILE the id that the registry gives

FORMAT: json, avro, protobuf. Only committed messages are read, to the end of each partition.
"""
import importlib
import io
import json
import pathlib
import struct
import sys
import tempfile

import fastavro
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from grpc_tools import protoc

FRAMING = {"avro": 5, "protobuf": 6}


def messages(bootstrap, topic):
    """Values of all committed messages."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "isolation.level": "read_committed",
                         "enable.partition.eof": True, "enable.auto.commit": False})
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    ended = set()
    while len(ended) < len(partitions):
        message = consumer.poll(60)
        if message is None:
            sys.exit(f"read_topic: {topic} did not come to its end")
        if message.error() and message.error().code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
        elif message.error():
            sys.exit(f"read_topic: {message.error()}")
        else:
            yield message.value()
    consumer.close()


def golden(path):
    """Messages of a file, each behind its length."""
    octets = pathlib.Path(path).read_bytes()
    while octets:
        (length,) = struct.unpack(">I", octets[:4])
        yield octets[4:4 + length]
        octets = octets[4 + length:]


def flow_class(proto):
    """What protoc makes of a .proto text."""
    folder = tempfile.mkdtemp()
    pathlib.Path(folder, "flow.proto").write_text(proto)
    if protoc.main(["protoc", f"-I{folder}", f"--python_out={folder}", "flow.proto"]) != 0:
        sys.exit("read_topic: protoc does not take the file")
    sys.path.insert(0, folder)
    return importlib.import_module("flow_pb2").Flow


def as_dict(flow):
    """What is there of a Protobuf message, unknown fields refused."""
    if flow is None:
        sys.exit("read_topic: no flow in a message")
    return {field.name: value for field, value in flow.ListFields()}


def by_registry(form, registry, topic):
    """Confluent's own deserializer. Avro's fetches the schema by the id in the message. Protobuf's would fetch a compiled one, which takes a
    registry that compiles: it gets the class that protoc makes of the registry's text."""
    client = SchemaRegistryClient({"url": registry})
    context = SerializationContext(topic, MessageField.VALUE)
    if form == "avro":
        deserialize = AvroDeserializer(client)
        return lambda value: deserialize(value, context)
    flow = flow_class(client.get_latest_version(f"{topic}-value").schema.schema_str)
    deserialize = ProtobufDeserializer(flow, {"use.deprecated.format": False})
    return lambda value: as_dict(deserialize(value, context))


def by_schema(form, path):
    """Of bare messages, with a schema that was printed."""
    text = pathlib.Path(path).read_text()
    if form == "avro":
        schema = fastavro.parse_schema(json.loads(text))

        def read(value):
            octets = io.BytesIO(value)
            flow = fastavro.schemaless_reader(octets, schema)
            if octets.read():
                sys.exit("read_topic: octets are left behind a flow")
            return flow

        return read
    flow = flow_class(text)
    return lambda value: as_dict(flow.FromString(value))


def show(values, read):
    for value in values:
        flow = read(value)
        print(json.dumps({name: value for name, value in flow.items() if value is not None}))


def main():
    command, *words = sys.argv[1:]
    if command == "register":
        registry, subject, kind, path = words
        client = SchemaRegistryClient({"url": registry})
        print(client.register_schema(subject, Schema(pathlib.Path(path).read_text(), kind)))
    elif command == "golden":
        path, form, schema = words
        read = by_schema(form, schema)
        show((value[FRAMING[form]:] for value in golden(path)), read)
    elif words[2] == "json":
        show(messages(words[0], words[1]), json.loads)
    elif command == "bare":
        bootstrap, topic, form, schema = words
        show(messages(bootstrap, topic), by_schema(form, schema))
    else:
        bootstrap, topic, form, registry = words
        show(messages(bootstrap, topic), by_registry(form, registry, topic))


main()
