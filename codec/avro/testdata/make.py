# SPDX-License-Identifier: Apache-2.0
"""Writes the files beside it with fastavro (pip install fastavro cramjam backports.zstd), as another writer than ours does it."""

import datetime
import decimal
import json
import pathlib
import uuid

import fastavro

HERE = pathlib.Path(__file__).parent
ROWS = 40


def maybe(kind):
    return ["null", kind]


SCHEMA = {
    "type": "record", "name": "Row", "namespace": "test.a", "fields": [
        {"name": "bool", "type": maybe("boolean")},
        {"name": "int", "type": maybe("int")},
        {"name": "long", "type": "long"},
        {"name": "float", "type": ["float", "null"]},
        {"name": "double", "type": maybe("double")},
        {"name": "bytes", "type": maybe("bytes")},
        {"name": "string", "type": maybe("string")},
        {"name": "fixed", "type": maybe({"type": "fixed", "name": "Three", "size": 3})},
        {"name": "enum", "type": maybe({"type": "enum", "name": "Color", "symbols": ["RED", "GREEN"]})},
        {"name": "date", "type": maybe({"type": "int", "logicalType": "date"})},
        {"name": "millis", "type": maybe({"type": "long", "logicalType": "timestamp-millis"})},
        {"name": "micros", "type": maybe({"type": "long", "logicalType": "timestamp-micros"})},
        {"name": "dec", "type": maybe({"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4})},
        {"name": "decfixed", "type": maybe({"type": "fixed", "name": "Dec", "size": 8, "logicalType": "decimal",
                                            "precision": 10, "scale": 2})},
        {"name": "uuid", "type": maybe({"type": "string", "logicalType": "uuid"})},
        {"name": "list", "type": {"type": "array", "items": "int"}},
        {"name": "map", "type": maybe({"type": "map", "values": ["null", "string", "Color"]})},
        {"name": "tree", "type": maybe({"type": "record", "name": "Tree", "fields": [
            {"name": "v", "type": "int"}, {"name": "sub", "type": {"type": "array", "items": "Tree"}}]})},
        {"name": "either", "type": ["int", "string", "null"]},
        {"name": "nothing", "type": "null"},
    ]}


def rows():
    utc = datetime.timezone.utc
    at = datetime.datetime(2024, 2, 29, 12, 30, 15, 123000, tzinfo=utc)
    for i in range(ROWS):
        row = {
            "bool": i % 2 == 0, "int": -70000 * i, "long": -(10**15) * i, "float": i / 8, "double": i / 7,
            "bytes": bytes([i, 0, 255]), "string": f"text {i} \u00e4\u6f22", "fixed": bytes([i, i, 255]),
            "enum": ["RED", "GREEN"][i % 2], "date": datetime.date(1969, 12, 20) + datetime.timedelta(days=i),
            "millis": at + datetime.timedelta(milliseconds=i), "micros": at + datetime.timedelta(microseconds=i),
            "dec": decimal.Decimal(i * 7 - 100) / 16, "decfixed": decimal.Decimal(100 - i * 7) / 4,
            "uuid": str(uuid.UUID(int=i * 2**70)), "list": list(range(i % 4)),
            "map": {"a": "x", "b": None}, "tree": {"v": i, "sub": [{"v": 1, "sub": []}]},
            "either": i if i % 2 else str(i), "nothing": None,
        }
        if i % 5 == 3:
            for name in row:
                if name not in ("long", "list", "nothing"):
                    row[name] = None
        yield row


def plain(v):
    if isinstance(v, bytes):
        return v.hex()
    if isinstance(v, datetime.datetime):
        return int((v - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) / datetime.timedelta(microseconds=1))
    if isinstance(v, datetime.date):
        return (v - datetime.date(1970, 1, 1)).days
    if isinstance(v, (decimal.Decimal, uuid.UUID)):
        return str(v)
    if isinstance(v, (list, dict)):
        return json.dumps(v, separators=(",", ":"))
    return v


def main():
    schema = fastavro.parse_schema(SCHEMA)
    for codec in ("null", "deflate", "snappy", "zstandard", "bzip2"):
        with open(HERE / f"{codec}.avro", "wb") as out:
            fastavro.writer(out, schema, rows(), codec=codec, sync_interval=900, sync_marker=b"0123456789abcdef")
    with open(HERE / "rows.json", "w", encoding="utf-8") as out, open(HERE / "null.avro", "rb") as data:
        for row in fastavro.reader(data):
            shown = {k: plain(v) for k, v in row.items() if v is not None}
            if "either" in shown:
                shown["either"] = json.dumps(shown["either"])
            out.write(json.dumps(shown) + "\n")
    wrong = fastavro.parse_schema({"type": "record", "name": "W", "fields": [
        {"name": "n", "type": "int"}, {"name": "s", "type": "bytes"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-nanos"}}]})
    with open(HERE / "wrong.avro", "wb") as out:
        fastavro.writer(out, wrong, [
            {"n": 0, "s": b"a", "at": 1000}, {"n": 1, "s": b"\xff", "at": 2000}, {"n": 2, "s": b"c", "at": 2001},
            {"n": 3, "s": b"d", "at": -1000}], sync_marker=b"0123456789abcdef")
    text = (HERE / "wrong.avro").read_bytes().replace(b'"type": "bytes"', b'"type":"string"')
    (HERE / "wrong.avro").write_bytes(text)


if __name__ == "__main__":
    main()
