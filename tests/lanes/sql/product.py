"""A running product with rows to read, in a temporary folder."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

TOKEN = "a-token-for-the-sql-lane"
WITHIN = 90
CONFIG = """
[host]
enabled = true
[sql]
timeout = "60s"
result_mb = 1024
[[check]]
id = "worker"
interval = "1s"
process = { name = "kizashi", min = 1 }
[[check]]
id = "db-port"
interval = "1s"
tenant = "aozora"
port = { host = "127.0.0.1", port = 9 }
"""


class Product:
    def __init__(self, config=CONFIG):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kizashi-sql-"))
        (self.folder / "kizashi.toml").write_text(config)
        env = dict(os.environ, KIZASHI_ADMIN_TOKEN=TOKEN, KIZASHI_ADMIN_PASSWORD="a password for the sql lane")
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            [os.environ["KIZASHI_BINARY"], "up", "--listen", "127.0.0.1:0"],
            cwd=self.folder, env=env, stdout=self.log, stderr=subprocess.STDOUT,
        )
        data = self.folder / "kizashi-data"
        names = ["url", "postgres.url", "flight.url"]
        until(lambda: all((data / name).exists() for name in names), "the product did not start", self)
        self.url, self.postgres, self.flight = [(data / name).read_text().strip() for name in names]
        self.host, self.port = self.postgres.split("@")[1].split("/")[0].split(":")

    def ask(self, method, path, body=None, token=TOKEN):
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def token(self, name, tenant=None, scopes=("sql.run",)):
        service = {"role": "analyst", "tenant": tenant}
        return self.ask("POST", "/api/v1/tokens", {"name": name, "scopes": list(scopes), "days": 1, "service": service})["token"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self.log.close()
            shutil.rmtree(self.folder, ignore_errors=True)


def until(done, otherwise, product=None):
    """Waits for the condition, within a bound."""
    deadline = time.monotonic() + WITHIN
    while not done():
        if time.monotonic() > deadline or product and product.process.poll() is not None:
            log = (product.folder / "log").read_text() if product else ""
            raise SystemExit(f"{otherwise}\n{log}")
        time.sleep(0.1)
