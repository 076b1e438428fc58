# SPDX-License-Identifier: Apache-2.0
"""Prints the rows of Parquet files as JSON, one a line. The files come on standard input, one a line."""
import datetime
import json
import sys

import pyarrow.parquet as parquet


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    raise TypeError(type(value))


for path in sys.stdin.read().splitlines():
    for batch in parquet.ParquetFile(path).iter_batches():
        for row in batch.to_pylist():
            sys.stdout.write(json.dumps(row, separators=(",", ":"), ensure_ascii=False, default=plain) + "\n")
