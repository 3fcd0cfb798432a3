// A running product with live checks and recordings in a temporary folder, or one that runs already (KIZASHI_PORTAL_URL with
// KIZASHI_PORTAL_TOKEN).
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync, createWriteStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const TOKEN = 'a-token-for-the-portal-lane';
const PASSWORD = 'a password for the portal lane';
const WAIT_MS = 120_000;

const CHECKS = `
[[check]]
id = "web:shop"
interval = "5s"
retry_interval = "1s"
url = { address = "http://127.0.0.1:9/", timeout = "1s" }
[[check]]
id = "db-port"
interval = "5s"
retry_interval = "1s"
tenant = "aozora"
port = { host = "127.0.0.1", port = 9 }
[[check]]
id = "batch"
interval = "5s"
retry_interval = "1s"
tenant = "midori"
process = { name = "nightly-batch", min = 2 }
[[check]]
id = "disk:/tmp"
interval = "5s"
retry_interval = "1s"
tenant = "midori"
disk = { path = "/tmp", warning_percent = 0.1, critical_percent = 99.9 }
[[check]]
id = "worker"
interval = "5s"
tenant = "aozora"
process = { name = "kizashi", min = 1 }
`.replaceAll(', timeout = "1s"', '');

export async function running() {
  const { KIZASHI_PORTAL_URL: url, KIZASHI_PORTAL_TOKEN: token } = process.env;
  if (url && token) return handle(url, token, undefined, async () => {});
  const program = process.env.KIZASHI_BINARY;
  if (!program) throw new Error('KIZASHI_BINARY names the built product');
  const folder = mkdtempSync(join(tmpdir(), 'kizashi-portal-'));
  writeFileSync(join(folder, 'kizashi.toml'), CHECKS);
  const env = { ...process.env, KIZASHI_ADMIN_TOKEN: TOKEN, KIZASHI_ADMIN_PASSWORD: PASSWORD };
  const child = spawn(program, ['up', '--listen', '127.0.0.1:0'], { cwd: folder, env });
  let said = '';
  child.stdout.on('data', (data) => (said += data));
  child.stderr.pipe(createWriteStream(join(folder, 'log')));
  const ended = new Promise((resolve) => child.on('exit', resolve));
  const end = async () => {
    child.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const address = await until(() => /portal\s+(http:\S+)/.exec(said)?.[1], 'the product to say where it is');
    const product = handle(address, TOKEN, PASSWORD, end);
    await until(async () => (await product.read('readyz')).ready, 'the product to be ready');
    for (const recording of recordings()) load(program, folder, address, recording);
    await until(async () => (await product.read('api/v1/predictions')).items.length >= 2, 'two predictions');
    await until(async () => (await product.read('api/v1/tickets')).items.length >= 5, 'five tickets');
    return product;
  } catch (error) {
    await end();
    throw error;
  }
}

function handle(url, token, password, end) {
  const read = async (path) => {
    const answer = await fetch(new URL(path, url), { headers: { authorization: `Bearer ${token}` } });
    return answer.json();
  };
  return {
    url,
    token,
    password,
    end,
    read,
    /** A prediction that is open, and an incident that is. */
    async examples() {
      const predictions = (await read('api/v1/predictions')).items;
      const tickets = (await read('api/v1/tickets?status=open&kind=incident')).items;
      const prediction = predictions.find((one) => !one.outcome) ?? predictions[0];
      return { prediction: prediction.prediction_id, ticket: `${tickets[0].tenant}/${tickets[0].number}` };
    },
  };
}

/** Disks that fill, one of them to the end and one emptied in time, and a login time with a day's rhythm. */
function recordings() {
  const noise = random(7);
  const filling = (n, from, to) => series(n, (i) => from + ((to - from) * i) / n + noise() * 0.15);
  return [
    { check: 'disk:/srv/mail', tenant: 'aozora', points: filling(288, 58, 92), metric: 'used_percent', unit: '%', limit: 100 },
    { check: 'disk:/var/log', tenant: 'midori', points: filling(400, 40, 108).map(([at, value]) => [at, Math.min(100, value)]), metric: 'used_percent', unit: '%', limit: 100 },
    { check: 'disk:/backup', tenant: 'aozora', points: filling(400, 40, 100).map(([at, value], i) => [at, i < 330 ? value : 45 + noise()]), metric: 'used_percent', unit: '%', limit: 100 },
    { check: 'url:login', tenant: 'aozora', points: series(2016, (i) => 100 + 40 * Math.sin((i / 288) * 2 * Math.PI) + noise() * 3 + (i > 1900 && i < 1906 ? 160 : 0)), metric: 'total_ms', unit: 'ms' },
  ];
}

function series(n, value) {
  const step = 300_000;
  const last = Math.floor(Date.now() / step) * step;
  return Array.from({ length: n }, (_, i) => [last - (n - 1 - i) * step, value(i)]);
}

/** The same numbers every time, between -1 and 1. */
function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return (state / 1_073_741_824) - 1;
  };
}

function load(program, folder, address, { check, tenant, points, metric, unit, limit }) {
  const file = join(folder, 'recording.csv');
  writeFileSync(file, `time,value\n${points.map(([at, value]) => `${new Date(at).toISOString()},${value.toFixed(3)}`).join('\n')}\n`);
  const more = limit ? ['--limit', String(limit), '--warning', '85', '--critical', '95'] : [];
  const args = ['import', file, '--time', 'time', '--check', check, '--tenant', tenant, '--metric', metric, '--unit', unit, ...more];
  execFileSync(program, [...args, '--url', address, '--token', TOKEN], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
}

async function until(condition, what) {
  const started = Date.now();
  for (;;) {
    const found = await Promise.resolve(condition()).catch(() => undefined);
    if (found) return found;
    if (Date.now() - started > WAIT_MS) throw new Error(`waited ${WAIT_MS / 1000} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
