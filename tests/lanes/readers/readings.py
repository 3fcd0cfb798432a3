"""What each reader of Python finds in a table, under the same names as the JVM's Found.java.

Sums are exact (fsum rounds once, whole numbers never), so they do not depend on the order of the rows or on how an engine
adds up, and a wrong value among large ones does not hide in a tolerance. Nulls and what is not finite are left out of them
and are counted instead: one NaN would hide the rest of its column.
"""

import math
from collections import Counter

import duckdb
import polars

SUMMED = ("long", "double")
NOT_SUMMED = ("string", "binary", "boolean", "timestamp", "date")


def types(table):
    """The type of every column by the log."""
    found = {field.name: field.type.type for field in table.schema().fields}
    unknown = {name: of for name, of in found.items() if of not in SUMMED + NOT_SUMMED}
    if unknown:
        raise TypeError(f"no sum is known for {unknown}")
    return found


def found(data, types):
    """What is in an Arrow table."""
    days = Counter(str(day) for day in data["day"].to_pylist())
    said = {"rows": data.num_rows, "days": len(days)} | {f"rows of {day}": rows for day, rows in days.items()}
    for name in data.column_names:
        said[f"nulls({name})"] = data[name].null_count
        if types.get(name) == "long":
            said[f"sum({name})"] = sum(value for value in data[name].to_pylist() if value is not None)
        if types.get(name) == "double":
            values = [value for value in data[name].to_pylist() if value is not None]
            finite = [value for value in values if math.isfinite(value)]
            said[f"sum({name})"] = math.fsum(finite)
            said[f"not finite({name})"] = len(values) - len(finite)
    return said


def readings(table):
    """Yields each reader's name and what it finds; deltalake, which reads the log as well, is the first."""
    of = types(table)
    data = table.to_pyarrow_table()
    yield "deltalake", found(data, of)
    connection = duckdb.connect()
    connection.register("data", data)
    yield "duckdb (arrow)", found(connection.sql("FROM data").to_arrow_table(), of)
    # duckdb's own Delta extension is a download, so duckdb reads the Parquet files that the log names, without
    # deltalake's reader of data. It has nothing to read a table without files by.
    files = table.file_uris()
    if files:
        connection.execute("SET VARIABLE files = ?", [[file.removeprefix("file://") for file in files]])
        read = "FROM read_parquet(getvariable('files'), hive_partitioning = true, union_by_name = true)"
        yield "duckdb (files)", found(connection.sql(read).to_arrow_table(), of)
    # The log by deltalake, the data by polars' own reader of Parquet.
    yield "polars", found(polars.scan_delta(table).collect().to_arrow(), of)
