// What a browser waits for at a running product with 10,000 checks; `doors.rs` starts both and publishes what is asked for with
// a line `publish STATE OUTPUT`. Every other line is `name value unit`.
import { readFileSync, readdirSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { launch, open, settled, signIn } from '../lanes/portal/browser.mjs';

const [phase] = process.argv.slice(2);
const { KIZASHI_DOORS_URL: url, KIZASHI_DOORS_PASSWORD: password, KIZASHI_DOORS_PID: pid } = process.env;
const WITHIN_MS = 30_000;
const LISTS = 60;
const ROUNDS = 60;
const OPENED = 7;
const CHANGES = 40;
const STREAMS = 200;
const STREAMS_MS = 15_000;
const HOUR = 3_600_000;

const agent = new Agent({ keepAlive: true });
let person = { headers: {} };
person = await session();
await reads();
await lists();
await browser();
await streams();
agent.destroy();

function ask(path, { method = 'GET', headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const asked = request(new URL(path, url), { method, agent, headers: { ...person.headers, ...headers } }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text: Buffer.concat(parts).toString() }));
      answer.on('error', reject);
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

async function json(path) {
  const { status, text } = await ask(path);
  if (status !== 200) throw new Error(`${path}: ${status} ${text}`);
  return JSON.parse(text);
}

async function session() {
  const body = JSON.stringify({ name: 'admin', password });
  const { status, headers, text } = await ask('api/v1/session', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  if (status !== 200) throw new Error(`no session: ${status} ${text}`);
  return { headers: { cookie: headers['set-cookie'][0].split(';')[0] } };
}

/** A fixed round of what the pages read, one request after another. */
async function reads() {
  const now = Date.now();
  const during = `from=${new Date(now - 6 * HOUR).toISOString()}&to=${new Date(now).toISOString()}`;
  const ticket = (await json('api/v1/tickets?status=open&limit=1')).items[0];
  const of = 'tenant=tenant0&check_id=disk:/srv/data40';
  const round = {
    session: 'api/v1/session',
    checks: 'api/v1/checks?sort=-state&limit=100',
    check: 'api/v1/checks/tenant0/disk:~srv~data40',
    one_check: `api/v1/checks?${of}`,
    tickets: 'api/v1/tickets?status=open&limit=100',
    ticket: `api/v1/tickets/${ticket.tenant}/${ticket.number}`,
    problems: 'api/v1/problems?open=true&limit=100',
    predictions: 'api/v1/predictions?open=true&limit=100',
    findings: 'api/v1/findings?limit=100',
    results: `api/v1/results?${of}&${during}&limit=500`,
    latest: `api/v1/samples/latest?${of}&limit=12`,
    series: `api/v1/series?${of}&metric=used_percent&${during}&points=600`,
    dashboards: 'api/v1/dashboards',
    catalog: 'api/v1/catalog',
  };
  const took = Object.fromEntries(Object.keys(round).map((name) => [name, []]));
  for (let n = 0; n < ROUNDS; n += 1) {
    for (const [name, path] of Object.entries(round)) took[name].push(await timed(() => json(path)));
  }
  for (const [name, times] of Object.entries(took)) say(`reads.${name}`, times);
  say('reads', Object.values(took).flat());
}

/** What the portal reads when it is opened, as `lib/live.svelte.ts` does. */
async function lists() {
  const all = async (path, most, limit = 1_000) => {
    let [count, before] = [0, ''];
    do {
      const page = await json(`api/v1/${path}&limit=${Math.min(limit, most - count)}${before && `&before=${encodeURIComponent(before)}`}`);
      count += page.items.length;
      before = page.next;
    } while (before && count < most);
    return count;
  };
  const times = [];
  for (let n = 0; n < LISTS; n += 1) {
    let checks = 0;
    const read = async () => {
      [checks] = await Promise.all([
        all('checks?', 20_000, 10_000),
        all('tickets?status=open', 2_000),
        all('tickets?status=resolved', 2_000),
        all('tickets?status=closed', 100),
        all('predictions?open=true', 1_000),
      ]);
    };
    times.push(await timed(read));
    if (checks < 10_000) throw new Error(`only ${checks} checks were listed`);
  }
  say('lists', times);
}

async function browser() {
  const chromium = await launch();
  try {
    const { page, context } = await open(chromium, url);
    await signIn(page, url, { password }, 'alerts?q=doors');
    const cookies = await context.cookies();
    const usable = [];
    for (let n = 0; n < OPENED; n += 1) usable.push(await opened(chromium, cookies));
    say('usable', usable);
    await changes(page);
  } finally {
    await chromium.close();
  }
}

/** A browser that was never here: from the address to the first rows, and to the row that a key marks. */
async function opened(chromium, cookies) {
  const { page, context } = await open(chromium, url);
  await context.addCookies(cookies);
  const took = await timed(async () => {
    await page.goto(`${url}#/alerts`, { waitUntil: 'commit' });
    await page.locator('[data-check]').first().waitFor();
    await page.keyboard.press('j');
    await page.locator('.row.at').waitFor();
  });
  await context.close();
  return took;
}

/** From a result that is published to its state and its words on the screen. */
async function changes(page) {
  const publish = (state, output) => process.stdout.write(`publish ${state} ${output}\n`);
  publish('OK', 'round-0');
  await page.locator('[data-check="doors:watched"]').waitFor({ timeout: WITHIN_MS });
  await settled(page);
  const took = [];
  for (let n = 1; n <= CHANGES; n += 1) {
    const state = n % 2 === 0 ? 'OK' : 'CRITICAL';
    const shown = page.evaluate(watch, { word: n % 2 === 0 ? 'OK' : 'Critical', output: `round-${n}`, within: WITHIN_MS });
    const begun = Date.now();
    publish(state, `round-${n}`);
    took.push((await shown) - begun);
  }
  say('change', took);
}

/** In the page: when the row says so. */
function watch({ word, output, within }) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${output} is not on the screen`)), within);
    const observer = new MutationObserver(look);
    observer.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
    look();
    function look() {
      const text = document.querySelector('[data-check="doors:watched"]')?.textContent ?? '';
      if (!text.includes(word) || !text.includes(output)) return;
      observer.disconnect();
      clearTimeout(timer);
      resolve(Date.now());
    }
  });
}

/** What the product spends more with 200 streams than without: alternately, so that both meet the same moods. */
async function streams() {
  const [without, withThem] = [[], []];
  let [bytes, seconds, cut] = [0, 0, 0];
  for (let n = 0; n < 3; n += 1) {
    without.push(await spent());
    const open = [];
    for (let i = 0; i < STREAMS; i += 1) open.push(stream(() => (cut += 1)));
    await Promise.all(open.map(({ begun }) => begun));
    const before = open.reduce((sum, one) => sum + one.bytes(), 0);
    withThem.push(await spent());
    bytes += open.reduce((sum, one) => sum + one.bytes(), 0) - before;
    seconds += STREAMS_MS / 1_000;
    for (const one of open) one.end();
  }
  const of = (runs, key) => runs.map((run) => run[key]).sort((a, b) => a - b)[1];
  print(`streams.cpu`, of(withThem, 'all') - of(without, 'all'), '% of a core', `${STREAMS} streams: ${of(withThem, 'all').toFixed(1)} with, ${of(without, 'all').toFixed(1)} without`);
  print(`streams.doors_cpu`, of(withThem, 'doors') - of(without, 'doors'), '% of a core', `threads that serve and feed them: ${of(withThem, 'doors').toFixed(1)} with, ${of(without, 'doors').toFixed(1)} without`);
  print('streams.each', bytes / seconds / STREAMS / 1_000, 'kB/s', `${cut} cut off`);
}

/** Per cent of a core: the whole process, and the threads of the doors. */
async function spent() {
  const before = threads();
  await new Promise((resolve) => setTimeout(resolve, STREAMS_MS));
  const after = threads();
  const sum = (which) => [...after].filter(([, { name }]) => which(name)).reduce((total, [id, { ticks }]) => total + ticks - (before.get(id)?.ticks ?? 0), 0);
  return { all: sum(() => true) / (STREAMS_MS / 1_000), doors: sum((name) => /^(tokio|live)/.test(name)) / (STREAMS_MS / 1_000) };
}

function threads() {
  const found = new Map();
  for (const id of readdirSync(`/proc/${pid}/task`)) {
    let stat = '';
    try {
      stat = readFileSync(`/proc/${pid}/task/${id}/stat`, 'utf8');
    } catch {
      continue;
    }
    const [name, rest] = [stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')), stat.slice(stat.lastIndexOf(')') + 2).split(' ')];
    found.set(id, { name, ticks: Number(rest[11]) + Number(rest[12]) });
  }
  return found;
}

/** A stream as the portal keeps it: it comes back a second after it was cut off. */
function stream(cut) {
  let [bytes, over, current] = [0, false, null];
  const begun = new Promise((resolve) => {
    const connect = () => {
      if (over) return;
      current = request(new URL('api/v1/events', url), { headers: { ...person.headers, accept: 'text/event-stream' }, agent: false }, (answer) => {
        resolve();
        answer.on('data', (part) => (bytes += part.length));
        answer.on('close', again);
        answer.on('error', () => {});
      });
      current.on('error', () => {});
      current.end();
    };
    const again = () => {
      if (over) return;
      cut();
      setTimeout(connect, 1_000);
    };
    connect();
  });
  return { begun, bytes: () => bytes, end: () => ((over = true), current?.destroy()) };
}

async function timed(work) {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

function say(name, times) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  print(`${name}.p50`, at(0.5), 'ms', `${sorted.length} times`);
  print(`${name}.p99`, at(0.99), 'ms');
}

function print(name, value, unit, more = '') {
  console.log(`doors.${phase}.${name} ${value.toFixed(1)} ${unit}${more && ` (${more})`}`);
}
