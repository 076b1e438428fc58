# SPDX-License-Identifier: Apache-2.0
"""Writes the files beside it with pyarrow (pip install pyarrow), as another writer than ours does it.

With --check FILE it reads a file that was written by TestAFileForOtherReaders and compares it with the
JSON lines in FILE.json.
"""

import datetime
import decimal
import json
import pathlib
import sys
import uuid

import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
ROWS = 40


def table():
    def column(kind, make, nulls=5):
        return pa.array([None if i % nulls == 3 else make(i) for i in range(ROWS)], type=kind)

    utc = datetime.timezone.utc
    at = datetime.datetime(2024, 2, 29, 12, 30, 15, 123000, tzinfo=utc)
    return pa.table({
        "bool": column(pa.bool_(), lambda i: i % 2 == 0),
        "int8": column(pa.int8(), lambda i: i - 20),
        "int16": column(pa.int16(), lambda i: -300 * i),
        "int32": column(pa.int32(), lambda i: -70000 * i),
        "int64": column(pa.int64(), lambda i: -(10**12) * i),
        "uint8": column(pa.uint8(), lambda i: 200 + i),
        "uint16": column(pa.uint16(), lambda i: 65000 + i),
        "uint32": column(pa.uint32(), lambda i: 4294967200 + i),
        "uint64": column(pa.uint64(), lambda i: 18446744073709551500 + i),
        "half": column(pa.float16(), lambda i: i / 4 - 3),
        "float": column(pa.float32(), lambda i: i / 8),
        "double": column(pa.float64(), lambda i: i / 7),
        "dec7": column(pa.decimal128(7, 2), lambda i: decimal.Decimal(i * 7 - 100) / 100),
        "dec38": column(pa.decimal128(38, 10), lambda i: decimal.Decimal("-1234567890123456789012345678.5") + i),
        "string": column(pa.string(), lambda i: f"text {i} \u00e4\u6f22"),
        "repeats": column(pa.string(), lambda i: f"value {i % 3}"),
        "bytes": column(pa.binary(), lambda i: bytes([i, 0, 255])),
        "fixed": column(pa.binary(3), lambda i: bytes([i, i, 255])),
        "date": column(pa.date32(), lambda i: datetime.date(1969, 12, 20) + datetime.timedelta(days=i)),
        "millis": column(pa.timestamp("ms", "UTC"), lambda i: at + datetime.timedelta(milliseconds=i)),
        "micros": column(pa.timestamp("us", "UTC"), lambda i: at + datetime.timedelta(microseconds=i)),
        "local": column(pa.timestamp("us"), lambda i: at.replace(tzinfo=None) - datetime.timedelta(days=i * 1000)),
        "uuid": column(pa.uuid(), lambda i: uuid.UUID(int=i * 2**70).bytes),
        "json": column(pa.json_(), lambda i: json.dumps({"i": i})),
        "nothing": pa.nulls(ROWS, pa.int32()),
        "required": pa.array(range(ROWS), type=pa.int64()),
    }, schema=None)


def main():
    t = table()
    required = t.schema.set(t.schema.get_field_index("required"), pa.field("required", pa.int64(), nullable=False))
    t = t.cast(required)
    for name, options in {
        "snappy.parquet": {"compression": "snappy", "row_group_size": 15},
        "plain_v1.parquet": {"compression": "none", "use_dictionary": False, "data_page_version": "1.0",
                             "version": "1.0", "write_page_checksum": True},
        "zstd_v2.parquet": {"compression": "zstd", "data_page_version": "2.0", "data_page_size": 64,
                            "write_page_checksum": True},
        "gzip_v2_plain.parquet": {"compression": "gzip", "data_page_version": "2.0", "use_dictionary": False},
        "lz4.parquet": {"compression": "lz4"},
        "brotli.parquet": {"compression": "brotli"},
    }.items():
        pq.write_table(t, HERE / name, **options)
    delta = t.select(["int32", "int64", "string", "repeats", "double", "float", "fixed", "bytes"])
    pq.write_table(delta, HERE / "encodings.parquet", use_dictionary=False, column_encoding={
        "int32": "DELTA_BINARY_PACKED", "int64": "DELTA_BINARY_PACKED", "string": "DELTA_LENGTH_BYTE_ARRAY",
        "repeats": "DELTA_BYTE_ARRAY", "double": "BYTE_STREAM_SPLIT", "float": "BYTE_STREAM_SPLIT",
        "fixed": "BYTE_STREAM_SPLIT", "bytes": "DELTA_BYTE_ARRAY"})
    nanos = pa.table({"at": pa.array([0, 1000, 1001, -1000, None, 1709209815123456000], type=pa.timestamp("ns"))})
    pq.write_table(nanos, HERE / "nanos.parquet", version="2.6")
    pq.write_table(nanos, HERE / "int96.parquet", use_deprecated_int96_timestamps=True)
    nested = pa.table({"a": [1, 2], "list": [[1], [2, 3]], "struct": [{"x": 1}, {"x": 2}],
                       "time": pa.array([1, 2], type=pa.time64("us")), "behind": ["x", "y"]})
    pq.write_table(nested, HERE / "nested.parquet")
    wrong = pa.table({"n": pa.array(range(6)),
                      "s": pa.array([b"a", b"\xff", b"c", b"d", None, b"f"]).view(pa.string()),
                      "k": pa.array(["x", "x", "x", "y", "y", "y"])})
    pq.write_table(wrong, HERE / "wrong_text.parquet", use_dictionary=["k"])
    pq.write_table(pa.table({"a": pa.array([], type=pa.int64())}), HERE / "empty.parquet")
    with open(HERE / "rows.json", "w", encoding="utf-8") as out:
        for row in t.to_pylist():
            out.write(json.dumps({k: plain(v) for k, v in row.items() if v is not None}) + "\n")


def plain(v):
    if isinstance(v, (bytes, bytearray)):
        return v.hex()
    if isinstance(v, datetime.datetime):
        return int((v.replace(tzinfo=datetime.timezone.utc) - datetime.datetime(
            1970, 1, 1, tzinfo=datetime.timezone.utc)) / datetime.timedelta(microseconds=1))
    if isinstance(v, datetime.date):
        return (v - datetime.date(1970, 1, 1)).days
    if isinstance(v, (decimal.Decimal, uuid.UUID)):
        return str(v)
    if isinstance(v, int) and not isinstance(v, bool) and abs(v) > 2**63:
        return str(v)
    return v


def check(path):
    file = pq.ParquetFile(path)
    rows = file.read().to_pylist()
    with open(path + ".json", encoding="utf-8") as lines:
        want = [json.loads(line) for line in lines]
    got = [{k: plain(v) for k, v in row.items() if v is not None} for row in rows]
    assert len(got) == len(want), (len(got), len(want))
    for i, (a, b) in enumerate(zip(got, want)):
        assert a == b, f"row {i}: {a} != {b}"
    for g in range(file.metadata.num_row_groups):
        for c in range(file.metadata.num_columns):
            column = file.metadata.row_group(g).column(c)
            assert column.is_stats_set, column
    print(file.schema_arrow)
    print(f"{len(got)} rows in {file.metadata.num_row_groups} row groups, {file.metadata.created_by}: all as written")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        check(sys.argv[2])
    else:
        main()
