"""For tests/bench/layout.rs: per table of the lake its name, how many files it has, their bytes, and the bytes of one file
of the same rows in the order in which they came, written by pyarrow as it does when it is asked for nothing."""

import io
import pathlib
import sys

import pyarrow.parquet
from deltalake import DeltaTable

LAKE = pathlib.Path(sys.argv[1])

for name in ["check_results", "samples"]:
    table = DeltaTable(str(LAKE / name))
    files = [pathlib.Path(uri.removeprefix("file://")) for uri in table.file_uris()]
    rows = table.to_pyarrow_table().drop_columns(["day"]).sort_by("slot")
    default = io.BytesIO()
    pyarrow.parquet.write_table(rows, default)
    print(name, len(files), sum(file.stat().st_size for file in files), default.tell())
