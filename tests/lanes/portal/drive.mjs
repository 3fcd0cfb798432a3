// Drives the portal as people do, against a running product with live data. Every page is held against axe's rules in both
// themes, and nothing may be logged as an error or asked of another host.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { launch, open, settled, signIn, visit } from './browser.mjs';
import { proxy } from './proxy.mjs';
import { running } from './product.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const product = await running();
const browser = await launch();
// The lane checks the portal's calls against the document of this very product.
if (process.env.KIZASHI_DOCUMENT) writeFileSync(process.env.KIZASHI_DOCUMENT, JSON.stringify(await product.read('openapi.json')));

async function scenario(name, { refused, ...look }, drive, base = product.url) {
  if (!new RegExp(process.env.KIZASHI_PORTAL_ONLY ?? '').test(name)) return;
  const started = Date.now();
  const { page, errors, context } = await open(browser, base, look);
  try {
    await drive(page, base);
    // A refusal that the scenario provokes is logged by the browser too.
    assert.deepEqual(errors.filter((error) => !refused?.test(error)), [], 'what the browser complained about');
    console.log(`ok    ${name} (${Date.now() - started} ms)`);
  } catch (error) {
    await page.screenshot({ path: `/tmp/kizashi-portal-failed.png` }).catch(() => {});
    console.error(`FAILED ${name}: the screen is in /tmp/kizashi-portal-failed.png`);
    throw error;
  } finally {
    await context.close();
  }
}

async function axe(page, where) {
  // Past the policy of the page, which allows no script but its own: evaluated by the browser itself.
  await page.evaluate(AXE);
  const violations = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] });
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(' ')} ${node.failureSummary}`));
  });
  assert.deepEqual(violations, [], `axe on ${where}`);
}

const row = (page, check) => page.locator(`[data-check="${check}"]`);

await scenario('a wrong token is refused with a reason, the right one opens the portal', { refused: /401/ }, async (page, base) => {
  await page.goto(base);
  const byName = page.locator('input[name=name]');
  await page.locator('form').waitFor();
  if (await byName.count()) await page.locator('form button[type=button]').click();
  await page.fill('input[name=token]', 'not-the-token');
  await page.locator('button.main').click();
  await page.locator('[role=alert]').waitFor();
  assert.match(await page.locator('[role=alert]').innerText(), /not a token/);
  await page.fill('input[name=token]', product.token);
  await page.locator('button.main').click();
  await page.locator('nav').waitFor();
  assert.match(await page.title(), /Overview/);
});

await scenario('from an alert to a closed ticket', {}, async (page, base) => {
  await signIn(page, base, product, 'alerts');
  await row(page, 'web:shop').waitFor();
  assert.match(await row(page, 'web:shop').innerText(), /Critical[\s\S]*Connection refused[\s\S]*#\d+/);
  await row(page, 'web:shop').locator('.ticket a').click();
  await page.locator('[data-test=take]').click();
  await page.locator('.facts').getByText('admin').waitFor();
  await page.fill('#comment', 'The shop was moved; <b>the check</b> looks at the old place');
  await page.locator('[data-test=comment]').click();
  await page.locator('.comment', { hasText: '<b>the check</b>' }).waitFor();
  await page.getByRole('button', { name: 'P1', exact: true }).click();
  await page.locator('.facts').getByText('P1').waitFor();
  await page.locator('[data-test=close]').click();
  await page.getByRole('radio', { name: /False alarm/ }).check();
  await page.locator('[data-test=close-now]').click();
  await page.locator('.facts .status', { hasText: 'Closed' }).waitFor();
  const [tenant, number] = (await page.evaluate(() => location.hash)).split('/').slice(2);
  const { ticket, history } = await product.read(`api/v1/tickets/${tenant}/${number}`);
  assert.deepEqual([ticket.status, ticket.closure_code, ticket.priority], ['closed', 'false_alarm', 1]);
  assert.ok(history.some((change) => change.comment?.includes('the old place')));
});

await scenario('the filter and the groups are in the URL, and the keyboard walks the list', {}, async (page, base) => {
  await signIn(page, base, product, 'alerts');
  await row(page, 'web:shop').waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('midori');
  await row(page, 'web:shop').waitFor({ state: 'detached' });
  assert.match(page.url(), /q=midori/);
  await page.getByLabel('Group').selectOption('tenant');
  await page.goto(`${base}#/alerts?q=midori&group=tenant`);
  await page.keyboard.press('Escape');
  await page.locator('h1').click();
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  const at = await page.locator('.row.at').getAttribute('data-check');
  await page.keyboard.press('Enter');
  await page.waitForFunction((check) => document.querySelector('h1')?.textContent === check, at);
  await page.keyboard.press('g');
  await page.keyboard.press('t');
  await page.waitForFunction(() => location.hash === '#/tickets');
  await page.keyboard.press('?');
  await page.getByRole('heading', { name: 'Keyboard' }).waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+k');
  await page.keyboard.type('srv mail');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => location.hash.includes('disk%3A%2Fsrv%2Fmail'));
});

await scenario('10,000 checks: few rows are drawn, the page is usable within a second, and rows stay under the cursor', {}, async (page, base) => {
  let turned = false;
  const states = ['OK', 'OK', 'OK', 'OK', 'WARNING', 'CRITICAL', 'UNKNOWN'];
  await page.route('**/api/v1/checks?*', (route) => {
    const query = new URL(route.request().url()).searchParams;
    const from = Number(query.get('before') ?? 0);
    const size = Number(query.get('limit'));
    const items = Array.from({ length: Math.min(size, 10_000 - from) }, (_, i) => {
      const n = from + i;
      const state = turned && n % 7 === 0 ? 'CRITICAL' : states[n % 7];
      const since = new Date(Date.now() - (turned && n % 7 === 0 ? 1000 : 3_600_000 + n * 1000)).toISOString();
      const current = { state, hard: true, attempt: 0, since, slot: since, stale: false, problem_open: state !== 'OK', output: `<img src=x> value ${n}`, recorded: false };
      return { tenant: `t${n % 20}`, check_id: `host-${String(n).padStart(5, '0')}`, kind: 'disk', interval_ms: 30_000, enabled: true, current };
    });
    const next = from + size < 10_000 ? String(from + size) : null;
    return route.fulfill({ json: { items, next } });
  });
  await signIn(page, base, product, 'tickets');
  const signedIn = Date.now();
  // The list is there when the rail counts it; this way the time is the page's own and not that of this lane's stand-in.
  await page.locator('nav b', { hasText: '4284' }).waitFor();
  console.log(`      10,000 checks read ${Date.now() - signedIn} ms after signing in`);
  const started = Date.now();
  await visit(page, 'alerts');
  await page.locator('[data-check]').first().waitFor();
  assert.ok(Date.now() - started < 1_000, `usable after ${Date.now() - started} ms`);
  assert.match(await page.locator('footer').innerText(), /10000 of 10000/);
  assert.ok((await page.locator('[data-check]').count()) < 100, 'only what can be seen is drawn');
  const third = page.locator('[data-check]').nth(2);
  const name = await third.getAttribute('data-check');
  await third.hover();
  turned = true;
  await page.getByText(/rows would move/).waitFor({ timeout: 30_000 });
  assert.equal(await page.locator('[data-check]').nth(2).getAttribute('data-check'), name, 'the row under the cursor stays');
  // Leaving the list lets it settle.
  await page.mouse.move(5, 5);
  await page.waitForFunction((before) => document.querySelectorAll('[data-check]')[2]?.dataset.check !== before, name);
  await page.locator('[data-virtual]').evaluate((box) => (box.scrollTop = box.scrollHeight));
  await page.waitForFunction(() => [...document.querySelectorAll('[data-check]')].some((one) => one.textContent.includes('OK')));
});

await scenario('what the server tells as an event is on the screen within a second', {}, async (page, base) => {
  let tell;
  const told = new Promise((resolve) => (tell = resolve));
  await page.route('**/api/v1/events', async (route) => route.fulfill({ contentType: 'text/event-stream', body: await told }));
  await signIn(page, base, product, 'alerts');
  await row(page, 'worker').waitFor();
  const slot = new Date(Date.now() + 60_000).toISOString();
  const result = { tenant: 'aozora', check_id: 'worker', kind: 'process', slot, state: 'OK', output: 'told by an event', duration_ms: 1, lateness_ms: 0, interval_ms: 5_000, recorded: false };
  tell(`: hello\n\nid: check-results/0/1\nevent: check_result\ndata: ${JSON.stringify(result)}\n\n`);
  await row(page, 'worker').getByText('told by an event').waitFor({ timeout: 1_000 });
});

await scenario('a check shows its chart, zooms by dragging and lists the results of that stretch', {}, async (page, base) => {
  await signIn(page, base, product, 'check/aozora/disk%3A%2Fsrv%2Fmail?range=24h');
  await settled(page);
  await page.locator('canvas').waitFor();
  assert.ok((await page.locator('tbody tr').count()) > 100);
  // A person drags again when the chart was drawn anew in between.
  for (let tries = 0; tries < 5 && !/from=\d+&to=\d+/.test(page.url()); tries += 1) {
    const { x, y, width, height } = await page.locator('[data-drawn=yes]').boundingBox();
    await page.mouse.move(x + width * 0.3, y + height * 0.4);
    await page.mouse.down();
    await page.mouse.move(x + width * 0.5, y + height * 0.4, { steps: 8 });
    await page.mouse.up();
    await page.waitForTimeout(500);
  }
  assert.match(page.url(), /from=\d+&to=\d+/);
  await page.getByRole('button', { name: 'Whole range' }).click();
  await page.locator('section', { hasText: 'Signs and tickets' }).locator('a.event').first().waitFor();
});

// When a marked text is typed over, Chromium's own editing tries to keep its style inline; the policy refuses, to no harm.
await scenario('a statement is completed, run, drawn, saved for Excel and remembered; a wrong one says where', { refused: /400|sha256-J2AA94Y2QqkCi2c81rF/ }, async (page, base) => {
  await signIn(page, base, product, 'sql');
  await settled(page);
  const editor = page.locator('.cm-content');
  await page.locator('summary', { hasText: 'current_state' }).waitFor();
  await editor.click();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('select * from avail');
  await page.locator('.cm-tooltip-autocomplete', { hasText: 'availability_per_day' }).waitFor();
  await page.keyboard.press('Control+a');
  const write = async (text) => {
    await page.keyboard.press('Control+a');
    await page.keyboard.insertText(text);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+Enter');
  };
  await write("select slot, value from samples where check_id = 'disk:/srv/mail' order by slot");
  await page.locator('[role=status]', { hasText: '288 rows' }).waitFor();
  await page.getByRole('button', { name: 'Chart' }).click();
  await page.locator('canvas').waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Excel' }).click()]);
  const saved = readFileSync(await download.path());
  assert.deepEqual([...saved.subarray(0, 3)], [0xef, 0xbb, 0xbf]);
  assert.equal(saved.toString('utf8').trim().split('\n').length, 289);
  const [parquet] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Parquet' }).click()]);
  assert.equal(readFileSync(await parquet.path()).subarray(0, 4).toString(), 'PAR1');
  await page.getByRole('button', { name: 'History' }).click();
  await page.locator('.past').first().waitFor();
  await editor.click();
  await write('select nothing from current_state');
  await page.locator('.failed').waitFor();
  assert.match(await page.locator('.failed').innerText(), /nothing/);
});

await scenario('a statement becomes a panel, the dashboard is edited and saved, and its file says so', { refused: /400|sha256-J2AA94Y2QqkCi2c81rF/ }, async (page, base) => {
  const statement = "select slot, value from samples where check_id = 'disk:/srv/mail' order by slot";
  await signIn(page, base, product, `sql?q=${encodeURIComponent(statement)}`);
  await settled(page);
  await page.locator('[data-test=run]').click();
  await page.locator('[role=status]', { hasText: '288 rows' }).waitFor();
  await page.locator('[data-test=to-dashboard]').click();
  await page.locator('[data-test=onto]').selectOption('');
  await page.fill('[data-test=fresh]', 'Mail <b>disks</b>');
  await page.fill('[data-test=panel-title]', 'Fill level');
  await page.locator('[data-test=put]').click();
  await page.waitForFunction(() => location.hash.startsWith('#/dashboards/mail-b-disks-b'));
  const panel = page.locator('[data-panel="Fill level"]');
  await panel.locator('canvas').waitFor();
  await settled(page);

  await page.locator('[data-test=edit-dashboard]').click();
  await page.locator('[data-test=add-panel]').click();
  const form = page.locator('aside .form');
  await form.locator('input[data-words=en]').fill('How many');
  await page.locator('[data-test=kind]').selectOption('stat');
  await page.locator('[data-test=panel-sql] .cm-content').click();
  await page.keyboard.press('Control+a');
  await page.keyboard.insertText('select count(*) as checks from current_state where state <> $state');
  await page.keyboard.press('Control+Enter');
  await page.locator('[data-panel="How many"] .failed', { hasText: '$state' }).waitFor();
  await page.locator('[data-test=whole]').click();
  await page.getByRole('button', { name: 'Add a variable' }).click();
  await page.locator('.variable input').fill('state');
  await page.locator('.variable select').selectOption('list');
  await page.locator('.variable textarea').fill('OK\nnone');
  await page.locator('[data-test=save-dashboard]').click();
  await page.locator('[data-variable=state]').waitFor();
  const figure = page.locator('[data-panel="How many"] .figure');
  await figure.waitFor();
  const before = await figure.innerText();
  await page.locator('[data-variable=state]').selectOption('none');
  await page.waitForFunction((was) => document.querySelector('[data-panel="How many"] .figure')?.textContent?.trim() !== was.trim(), before);
  const saved = await product.read('api/v1/dashboards/mail-b-disks-b');
  assert.equal(saved.dashboard.panel[1].title, 'How many');
  assert.deepEqual(saved.dashboard.variable, [{ name: 'state', values: ['OK', 'none'] }]);
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'TOML' }).click()]);
  assert.equal(readFileSync(await file.path(), 'utf8'), saved.toml);
  const [image] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Image' }).click()]);
  assert.equal(readFileSync(await image.path()).subarray(1, 4).toString(), 'PNG');
});

await scenario('a dashboard with an error says the line and the key, and nothing is written', { refused: /400/ }, async (page, base) => {
  const { toml } = await product.read('api/v1/dashboards/mail-b-disks-b');
  await signIn(page, base, product, 'dashboards/mail-b-disks-b?edit=file');
  await page.locator('[data-test=dashboard-toml]').fill(toml.replace('range = ', 'colour = 1\nrange = '));
  await page.locator('[data-test=save-dashboard]').click();
  await page.locator('[role=alert]', { hasText: 'colour' }).waitFor();
  assert.match(await page.locator('[role=alert]').innerText(), /line 2/);
  assert.equal((await product.read('api/v1/dashboards/mail-b-disks-b')).toml, toml);
});

await scenario('a check is tried before it is saved, then runs, and the change is kept', { refused: /400/ }, async (page, base) => {
  await signIn(page, base, product, 'configuration');
  await page.locator('[data-test=add-check]').click();
  await page.locator('form select[name=kind]').selectOption('port');
  await page.fill('form input[name=id]', 'mail:smtp');
  await page.fill('form input[name=host]', '169.254.169.254');
  await page.fill('form input[name=port]', '25');
  await page.locator('[data-test=try]').click();
  await page.locator('[data-test=tried]', { hasText: 'allow_addresses' }).waitFor();
  await page.fill('form input[name=host]', '127.0.0.1');
  await page.locator('[data-test=try]').click();
  await page.locator('[data-test=tried]', { hasText: 'Connection refused' }).waitFor();
  await page.locator('summary', { hasText: 'Schedule' }).click();
  await page.fill('form input[name=interval]', '5x');
  await page.locator('[data-test=save-check]').click();
  await page.locator('form [role=alert]', { hasText: '5x' }).waitFor();
  await page.fill('form input[name=interval]', '5s');
  await page.locator('[data-test=save-check]').click();
  await page.locator('[data-edit="mail:smtp"]').waitFor();
  await page.locator('[data-view=file]').click();
  await page.locator('[data-test=check-toml]').waitFor();
  assert.match(await page.locator('[data-test=check-toml]').inputValue(), /id = "mail:smtp"[\s\S]*port = 25/);
  await page.locator('[data-view=changes]').click();
  await page.locator('li', { hasText: 'mail:smtp' }).first().waitFor();
  assert.match(await page.locator('li', { hasText: 'mail:smtp' }).first().innerText(), /admin/);
  await visit(page, 'alerts?q=mail%3Asmtp');
  await row(page, 'mail:smtp').getByText('Connection refused').waitFor({ timeout: 30_000 });
});

await scenario('a statement is kept and shared, and its plan is drawn', {}, async (page, base) => {
  await signIn(page, base, product, `sql?q=${encodeURIComponent('select check_id, count(*) as n from check_results group by 1 order by 2')}`);
  await settled(page);
  await page.locator('[data-test=explain]').click();
  await page.locator('.plan li', { hasText: 'Aggregate' }).first().waitFor();
  await page.locator('[data-test=saved]').click();
  await page.fill('[data-test=keep-name]', 'Results per check');
  await page.getByLabel('Share it').check();
  await page.locator('[data-test=keep]').click();
  await page.locator('aside li', { hasText: 'Results per check' }).waitFor();
  const { items } = await product.read('api/v1/statements');
  assert.deepEqual(items.map(({ name, shared, owner }) => [name, shared, owner]), [['Results per check', true, 'admin']]);
});

await scenario('tickets of several checks are given to a person at once', {}, async (page, base) => {
  await signIn(page, base, product, 'alerts');
  for (const check of ['db-port', 'batch']) await row(page, check).locator('input[type=checkbox]').check();
  await page.fill('[data-test=person]', 'sato');
  await page.locator('[data-test=give]').click();
  await page.locator('footer [role=status]', { hasText: 'sato has 2 tickets' }).waitFor();
  await row(page, 'batch').getByText('sato').waitFor();
});

await scenario('a change that somebody else made first is told, and nothing is overwritten', { refused: /412/ }, async (page, base) => {
  const [ticket] = (await product.read('api/v1/tickets?status=open&check_id=batch')).items;
  await signIn(page, base, product, `tickets/${ticket.tenant}/${ticket.number}`);
  await page.locator('[data-test=take]').waitFor();
  const first = async (route) => {
    const headers = { authorization: `Bearer ${product.token}`, 'content-type': 'application/json' };
    const url = new URL(`api/v1/tickets/${ticket.tenant}/${ticket.number}/comment`, product.url);
    await fetch(url, { method: 'POST', headers, body: '{"comment":"first"}' });
    await route.continue();
  };
  await page.route('**/assign', first, { times: 1 });
  await page.locator('[data-test=take]').click();
  await page.getByText('Somebody changed it meanwhile').waitFor();
  await page.locator('.comment', { hasText: 'first' }).waitFor();
});

await scenario('the language switches in place, and the zone stands beside the times', { language: 'ja' }, async (page, base) => {
  await signIn(page, base, product);
  await page.getByRole('heading', { name: '今すぐ対応が必要' }).waitFor();
  assert.equal(await page.getAttribute('html', 'lang'), 'ja');
  await page.locator('nav').getByText('Asia/Tokyo, UTC+9').waitFor();
  await page.locator('[data-test=language]').click();
  await page.getByRole('heading', { name: 'Needs someone now' }).waitFor();
  assert.equal(await page.getAttribute('html', 'lang'), 'en');
  await page.locator('nav').getByText('Asia/Tokyo, UTC+9').click();
  await page.locator('nav').getByText('UTC', { exact: true }).waitFor();
});

await scenario('on a phone nothing is cut off sideways, and everything can be reached', { width: 390, height: 844, language: 'ja' }, async (page, base) => {
  await signIn(page, base, product);
  const { ticket } = await product.examples();
  for (const place of ['', 'alerts', 'alerts?view=tiles', 'check/aozora/disk%3A%2Fsrv%2Fmail', 'tickets', `tickets/${ticket}`, 'predictions', 'sql', 'dashboards', 'dashboards/host', 'rejects', 'pipeline?step=samples_hourly', 'configuration', 'configuration?check=new']) {
    await visit(page, place);
    const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(inner <= outer, `${place} is ${inner} px wide`);
    const main = await page.evaluate(() => [document.querySelector('main').scrollWidth, document.querySelector('main').clientWidth]);
    assert.ok(main[0] <= main[1], `${place}: the content is ${main[0]} px wide of ${main[1]}`);
  }
  await page.locator('[data-test=more]').click();
  await page.getByRole('option', { name: /サインアウト|Sign out/ }).waitFor();
});

await scenario('history of a step is derived again and its end is told', {}, async (page, base) => {
  await signIn(page, base, product, 'pipeline?step=samples_hourly');
  await page.locator('pre', { hasText: 'date_trunc' }).waitFor();
  const day = (from) => new Date(Date.now() + from * 86_400_000).toISOString().slice(0, 10);
  await page.getByLabel('From day (UTC)').fill(day(-8));
  await page.getByLabel('To day').fill(day(1));
  await page.locator('[data-test=derive]').click();
  await page.locator('[data-test=backfill]', { hasText: 'Done' }).waitFor();
  await page.locator('[data-test=backfill]', { hasText: 'rows read' }).waitFor();
  await page.locator('[data-test=apply]').click();
  await page.locator('[data-test=apply]:enabled').waitFor();
});

await scenario('the lake is made anew and the copy removed; a tenant with checks is not erased', { refused: /409/ }, async (page, base) => {
  await signIn(page, base, product, 'pipeline');
  await page.locator('[data-test=rebuild-name]').fill('look');
  await page.locator('[data-test=rebuild-begin]').click();
  const made = page.locator('[data-test=rebuild]', { hasText: 'look' });
  await made.filter({ hasText: 'Done' }).waitFor();
  await made.filter({ hasText: 'in the first lake' }).waitFor();
  await made.getByRole('button', { name: 'Remove' }).click();
  await made.waitFor({ state: 'detached' });
  await page.locator('[data-test=erase-tenant]').fill('aozora');
  assert.ok(await page.locator('[data-test=erase]').isDisabled(), 'the name must be there twice');
  await page.locator('[data-test=erase-confirm]').fill('aozora');
  await page.locator('[data-test=erase]').click();
  await page.getByRole('alert').filter({ hasText: 'still has checks' }).waitFor();
});

const front = await proxy(product.url, '/operations/kizashi/');
await scenario('under a sub-path everything is asked for below it', {}, async (page, base) => {
  const outside = [];
  page.on('request', (request) => new URL(request.url()).pathname.startsWith('/operations/kizashi/') || outside.push(request.url()));
  await signIn(page, base, product, 'alerts');
  await row(page, 'web:shop').waitFor();
  await visit(page, 'sql');
  await visit(page, 'check/aozora/disk%3A%2Fsrv%2Fmail');
  await page.locator('canvas').waitFor();
  assert.deepEqual(outside.filter((url) => !url.startsWith('blob:') && !url.startsWith('data:')), []);
}, front.url);
await front.end();

await scenario('a server that goes away is told, and what was there stays on the screen', { refused: /503/ }, async (page, base) => {
  await signIn(page, base, product, 'alerts');
  await row(page, 'web:shop').waitFor();
  await page.route('**/api/**', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"detail":"the desk is away"}' }));
  await page.locator('.lost', { hasText: 'the desk is away' }).waitFor({ timeout: 75_000 });
  await row(page, 'web:shop').waitFor();
});

for (const theme of ['dark', 'light']) {
  await scenario(`axe finds nothing on any page (${theme})`, { theme }, async (page, base) => {
    const { ticket, prediction } = await product.examples();
    await page.goto(base);
    await page.locator('form').waitFor();
    await axe(page, 'sign in');
    await signIn(page, base, product);
    const places = ['', 'alerts', 'alerts?group=state', 'alerts?view=tiles&group=tenant', 'alerts?q=nothing-is-called-this', 'check/aozora/disk%3A%2Fsrv%2Fmail?range=24h',
      'tickets', 'tickets?view=board', `tickets/${ticket}`, `predictions?id=${encodeURIComponent(prediction)}`, 'sql', 'dashboards', 'dashboards/host', 'dashboards/service?edit=1', 'dashboards/service?edit=file',
      'rejects', 'pipeline?step=samples_hourly', 'configuration', 'configuration?check=new', 'configuration?view=file', 'configuration?view=changes', 'nowhere'];
    for (const place of places) {
      await visit(page, place);
      if (place === 'sql') {
        await page.locator('[data-test=run]').click();
        await page.locator('[role=status]', { hasText: 'rows' }).waitFor();
      }
      await axe(page, `${place || 'overview'} (${theme})`);
    }
    await page.locator('h1').click();
    await page.keyboard.press('Control+k');
    await axe(page, `the palette (${theme})`);
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
    await page.keyboard.press('?');
    await axe(page, `the help (${theme})`);
  });
}

await browser.close();
await product.end();
console.log('the portal does what people do with it');
