"""Each client does with the product what people do with it. Every check has a name; the first that fails ends the lane."""

import sys

import adbc_client
import jdbc_client
import psql_client
import psycopg_client
import python_clients
from product import Product, until


def main():
    product = Product()
    try:
        rows = lambda: product.ask("POST", "/api/v1/sql", {"sql": "select count(distinct tenant) as n from check_results"})
        until(lambda: rows()[0]["n"] >= 2, "no rows came of both tenants", product)
        for client in [psql_client, psycopg_client, python_clients, jdbc_client, adbc_client]:
            for name, check in vars(client).items():
                if name.startswith("test_"):
                    print(f"  {client.__name__}: {name.removeprefix('test_').replace('_', ' ')}", flush=True)
                    check(product)
    finally:
        product.stop()


if __name__ == "__main__":
    sys.exit(main())
