"""Compares what the readers find in the tables of a lake, with each other and with what is expected.

Every folder of the lake that has a log is a table. What Delta Kernel found is read from standard input, a line of JSON per
table; see jvm/ReadLake.java.
"""

import json
import sys
from pathlib import Path

import pyarrow
from deltalake import DeltaTable

from readings import readings


def different(first, found, name, other):
    """A line for everything that one reader says and the other does not say, or says differently."""
    said = [(what, found.get(what), other.get(what)) for what in sorted(found.keys() | other.keys())]
    return [f"{what}: {first} {a}, {name} {b}" for what, a, b in said if a is None or a != b]


def by_log(table):
    """The rows that the log's statistics promise, which readers answer count(*) from without opening a file."""
    return sum(pyarrow.table(table.get_add_actions(flatten=True))["num_records"].to_pylist())


def as_expected(found, expected):
    column = expected.get("column")
    wanted = {"rows": expected["rows"]} | ({f"sum({column})": expected["sum"]} if column else {})
    return different("found", {what: found.get(what) for what in wanted}, "went in", wanted)


def compare(lake, name, kernel, expected):
    """Prints one line and returns what is wrong."""
    table = DeltaTable(str(lake / name))
    comments = {f.name: f.metadata.get("comment") for f in table.schema().fields}
    wrong = [f"column {column} has no comment" for column, text in comments.items() if not text]
    (first, found), *others = readings(table)
    for reader, other in [*others, ("the kernel", kernel["found"])]:
        wrong += different(first, found, reader, other)
    log = {"version": table.version(), "files": len(table.file_uris())}
    wrong += different(first, log, "the kernel", {what: kernel[what] for what in log})
    wrong += different("the data", {"rows": found["rows"]}, "the log", {"rows": by_log(table)})
    if expected is not None:
        wrong += as_expected(found, expected)
    verdict = "ok" if not wrong else "DIFFERENT"
    print(f"{name:17} version {log['version']:6} files {log['files']:5} rows {found['rows']:9} "
          f"days {found['days']:4} readers {len(others) + 2}  {verdict}")
    return [f"{name}: {w}" for w in wrong]


def main():
    lake = Path(sys.argv[1])
    given = Path(sys.argv[2]) if len(sys.argv) > 2 else lake / "expected.json"
    expected = json.loads(given.read_text()) if len(sys.argv) > 2 or given.exists() else {}
    kernel = {line["table"]: line for line in map(json.loads, sys.stdin)}
    tables = sorted(log.parent.name for log in lake.glob("*/_delta_log"))
    wrong = [] if tables else [f"{lake} has no tables"]
    for whose, names in [("expected", expected), ("read by the kernel", kernel)]:
        wrong += [f"{name}: {whose}, and not there" for name in sorted(set(names) - set(tables))]
    for name in tables:
        if name in kernel:
            wrong += compare(lake, name, kernel[name], expected.get(name))
        else:
            wrong.append(f"{name}: the kernel did not read it")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
