"""Each client does with the product what people do with it. All checks are tried; the lane fails if one does."""

import sys
import traceback

import adbc_client
import jdbc_client
import psql_client
import psycopg_client
import python_clients
from product import Product, until


def main():
    product, failed = Product(), []
    try:
        rows = lambda: product.ask("POST", "/api/v1/sql", {"sql": "select least(count(distinct tenant) * 10, count(*)) as n from check_results"})
        until(lambda: rows()[0]["n"] >= 20, "no 20 rows came of both tenants", product)
        for client in [psql_client, psycopg_client, python_clients, jdbc_client, adbc_client]:
            for name, check in vars(client).items():
                if name.startswith("test_"):
                    print(f"  {client.__name__}: {name.removeprefix('test_').replace('_', ' ')}", flush=True)
                    try:
                        check(product)
                    except Exception:
                        failed.append(name)
                        traceback.print_exc()
    finally:
        product.stop()
    return f"failed: {', '.join(failed)}" if failed else 0


if __name__ == "__main__":
    sys.exit(main())
