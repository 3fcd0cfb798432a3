// People sign in at a real provider and come to the portal: in Chromium, over TLS on both sides, on two sites.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync, copyFileSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch } from '../portal/browser.mjs';

const TOKEN = 'a-token-for-the-oidc-lane';
const program = process.env.KIZASHI_BINARY;
const here = new URL('.', import.meta.url).pathname;
const cache = join(homedir(), '.cache/kizashi/oidc');
const folder = mkdtempSync(join(tmpdir(), 'kizashi-oidc-'));
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';

const free = () => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});
async function until(condition, what) {
  const started = Date.now();
  for (;;) {
    const found = await Promise.resolve().then(condition).catch(() => undefined);
    if (found) return found;
    if (Date.now() - started > 60_000) throw new Error(`waited 60 s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
function start(command, args, options) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  const one = { child, said: '', ended: new Promise((resolve) => child.on('exit', resolve)) };
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (one.said += data));
  return one;
}

const [productPort, providerPort] = [await free(), await free()];
const [base, issuer] = [`https://127.0.0.1:${productPort}/`, `https://localhost:${providerPort}`];
const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
  '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
  '-addext', 'basicConstraints=critical,CA:FALSE', '-keyout', key, '-out', cert], { stdio: 'ignore' });
writeFileSync(join(folder, 'kizashi.toml'), `
[host]
enabled = false
[http]
tls_cert_file = "cert.pem"
tls_key_file = "key.pem"
# Their ports would follow the HTTP server's, which is a fixed one here.
[postgres]
enabled = false
[flight]
enabled = false
[oidc]
issuer = "${issuer}"
client_id = "kizashi"
client_secret_env = "OIDC_LANE_SECRET"
base_url = "${base}"
ca_file = "cert.pem"
label = { ja = "社内アカウントでサインイン", en = "Sign in with the company account" }
[[oidc.roles]]
value = "ops"
role = "operator"
[[oidc.roles]]
value = "aozora"
role = "tenant_user"
tenant = "aozora"
`);
mkdirSync(cache, { recursive: true });
copyFileSync(join(here, 'provider.mjs'), join(cache, 'provider.mjs'));

const env = { ...process.env, KIZASHI_ADMIN_TOKEN: TOKEN, OIDC_LANE_SECRET: 'a secret of the oidc lane' };
console.log(execFileSync(program, ['validate'], { cwd: folder, env, encoding: 'utf8' }).match(/.*OpenID.*/)[0]);
const product = start(program, ['up', '--listen', `127.0.0.1:${productPort}`], { cwd: folder, env });
let provider;
const browser = await launch();

async function scenario(name, { locale = 'en-GB', place = '' }, drive) {
  const context = await browser.newContext({ locale, ignoreHTTPSErrors: true });
  // The provider's pages name a font of another host, and nothing of this lane leaves the machine.
  await context.route((url) => !['127.0.0.1', 'localhost'].includes(url.hostname), (route) => route.abort());
  const page = await context.newPage();
  try {
    await page.goto(`${base}#/${place}`);
    await page.locator('.provider a').waitFor();
    await drive(page, context);
    console.log(`ok    ${name}`);
  } catch (error) {
    await page.screenshot({ path: '/tmp/kizashi-oidc-failed.png' }).catch(() => {});
    console.error(`FAILED ${name}, at ${page.url()}: the screen is in /tmp/kizashi-oidc-failed.png\n${product.said}\n${provider?.said}`);
    throw error;
  } finally {
    await context.close();
  }
}
/** The provider's two pages: who one is, and that this server may know. */
async function identify(page, login) {
  await page.locator('.provider a').click();
  await page.waitForURL(`${issuer}/**`);
  await page.fill('input[name=login]', login);
  await page.fill('input[name=password]', 'any');
  await page.locator('button[type=submit]').click();
}
async function consent(page) {
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.waitForURL(`${base}**`);
}
const own = (page, path) => page.evaluate((path) => fetch(path).then((answer) => answer.json()), path);
const log = async () => (await (await fetch(`${base}api/v1/access-log`, { headers: { authorization: `Bearer ${TOKEN}` } })).json()).items;

try {
  await until(async () => (await fetch(`${base}readyz`)).ok, 'the product to be ready');

  await scenario('while the provider is away the page says so', {}, async (page) => {
    await page.locator('.provider a').click();
    await page.getByText('does not answer as it should').waitFor();
    assert.equal(new URL(page.url()).hash, '#/', 'the code does not stay in the address');
  });

  provider = start(process.execPath, ['provider.mjs', providerPort, cert, key, `${base}api/v1/session/oidc/callback`], { cwd: cache });
  await until(() => provider.said.includes('ready on'), 'the provider');
  // The product leaves a provider that failed alone for some seconds.
  await until(async () => (await fetch(`${base}api/v1/session/oidc`, { redirect: 'manual' })).headers.get('location').startsWith(issuer), 'the product to ask it again');

  let callback;
  await scenario('somebody new comes in, with the role that the provider tells, where they wanted to go', { place: 'tickets' }, async (page, context) => {
    assert.equal(await page.locator('.provider a').innerText(), 'Sign in with the company account');
    page.on('request', (request) => {
      if (request.url().includes('/oidc/callback')) callback = request.url();
    });
    await identify(page, 'hanako');
    await consent(page);
    await page.locator('nav').waitFor();
    assert.equal(new URL(page.url()).hash, '#/tickets');
    const { person } = await own(page, 'api/v1/session');
    assert.deepEqual([person.name, person.display_name, person.role, person.tenant, person.language], ['hanako', '佐藤 花子', 'operator', null, 'ja']);
    const cookie = (await context.cookies()).find((one) => one.name === 'kizashi_session');
    assert.deepEqual([cookie.secure, cookie.httpOnly, cookie.sameSite], [true, true, 'Strict']);
    await page.goto(callback);
    await page.goto(base);
    await page.locator('nav').waitFor();
    assert.equal((await log()).filter((one) => one.event === 'login_ok').length, 1, 'the code opens nothing twice');
  });

  await scenario('the same person is known again; a stolen way back opens nothing elsewhere', { locale: 'ja-JP' }, async (page, context) => {
    assert.equal(await page.locator('.provider a').innerText(), '社内アカウントでサインイン');
    const other = await context.newPage();
    await other.goto(callback);
    await other.getByText('もう一度お試しください').waitFor();
    await identify(page, 'hanako');
    await consent(page);
    await page.locator('nav').waitFor();
    const people = await (await fetch(`${base}api/v1/people`, { headers: { authorization: `Bearer ${TOKEN}` } })).json();
    assert.equal(people.items.filter((one) => one.name.startsWith('hanako')).length, 1);
  });

  await scenario('a customer sees their tenant only', {}, async (page) => {
    await identify(page, 'tarou');
    await consent(page);
    await page.locator('nav').waitFor();
    const { person } = await own(page, 'api/v1/session');
    assert.deepEqual([person.role, person.tenant], ['tenant_user', 'aozora']);
    const answer = await page.evaluate(() => fetch('api/v1/checks?tenant=default').then((one) => one.status));
    assert.equal(answer, 404);
  });

  await scenario('who has no role here is told so', { locale: 'ja-JP' }, async (page) => {
    await identify(page, 'stranger');
    await consent(page);
    await page.getByText('ここで使えるロールがありません').waitFor();
    assert.equal(await page.locator('nav').count(), 0);
  });

  await scenario('who turns back at the provider is told so', {}, async (page) => {
    await page.locator('.provider a').click();
    await page.waitForURL(`${issuer}/**`);
    await page.getByText('Cancel').click();
    await page.getByText('cancelled at the provider').waitFor();
  });

  const entries = await log();
  assert.ok(entries.some((one) => one.event === 'login_ok' && one.actor === 'hanako' && one.subject === issuer));
  assert.ok(entries.some((one) => one.event === 'login_failed' && one.subject === `${issuer} (oidc_role)`));
  assert.ok(!/ERROR/.test(product.said), product.said);
  console.log('ok    every login is in the access log');
} finally {
  await browser.close();
  for (const one of [product, provider]) one?.child.kill('SIGTERM');
  await Promise.all([product.ended, provider?.ended]);
  rmSync(folder, { recursive: true, force: true });
}
