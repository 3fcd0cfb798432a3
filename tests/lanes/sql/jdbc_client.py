"""The JDBC driver's DatabaseMetaData, as DBeaver and Metabase call it, and a fetch size."""

import os
import pathlib
import subprocess

from product import TOKEN

SOURCE = pathlib.Path(__file__).with_name("Jdbc.java")


def test_metadata_and_pages(product):
    url = f"jdbc:postgresql://{product.host}:{product.port}/kizashi?sslmode=require"
    arguments = ["java", "-cp", os.environ["KIZASHI_JDBC"], str(SOURCE), url, "admin", TOKEN]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("jdbc: all as expected"), done.stdout
