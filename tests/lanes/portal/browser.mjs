// The browser, a page that fails on every error it logs, and how a person signs in.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const PLACES = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export async function launch() {
  const executablePath = PLACES.find((place) => place && existsSync(place));
  if (!executablePath) throw new Error('no Chromium: install the package chromium, or name the program in CHROMIUM');
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/** A page of its own; `errors` gathers what the browser complains about, and requests to another host. */
export async function open(browser, base, { language = 'en', theme = 'dark', width = 1440, height = 900, zone = 'Asia/Tokyo' } = {}) {
  const context = await browser.newContext({
    viewport: { width, height },
    locale: language === 'ja' ? 'ja-JP' : 'en-GB',
    timezoneId: zone,
    colorScheme: theme,
    acceptDownloads: true,
  });
  const page = await context.newPage();
  const errors = [];
  const { origin } = new URL(base);
  page.on('console', (message) => {
    const { url } = message.location();
    // Asked on purpose: whether there is a session, and whether the server has events.
    const asked = /\/api\/v1\/(session|events)$/.test(url);
    if (message.type() === 'error' && !asked) errors.push(`${message.text()} (${url})`);
  });
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (/^https?:$/.test(url.protocol) && url.origin !== origin) errors.push(`a request to ${url.href}`);
  });
  return { page, errors, context };
}

export async function signIn(page, base, { token, password }, place = '') {
  await page.goto(`${base}#/${place}`);
  if (await page.locator('input[name=password], input[name=token]').first().isVisible({ timeout: 15_000 }).catch(() => false) === false) {
    await page.locator('input[name=password], input[name=token]').first().waitFor();
  }
  const byName = await page.locator('input[name=name]').count();
  if (byName && password) {
    await page.fill('input[name=name]', 'admin');
    await page.fill('input[name=password]', password);
  } else {
    if (byName) await page.locator('form button[type=button]').click();
    await page.fill('input[name=token]', token);
  }
  await page.locator('button.main').click();
  await page.locator('nav').waitFor();
}

/** Goes to a place by its hash and waits until nothing on it loads any more. */
export async function visit(page, place) {
  await page.evaluate((hash) => (location.hash = hash), `#/${place}`);
  await settled(page);
}

export async function settled(page) {
  await page.waitForFunction(() => document.querySelector('main') && !document.querySelector('.notice.loading'), null, { timeout: 30_000 });
  await page.waitForFunction(() => [...document.querySelectorAll('[data-drawn], [data-ready]')].every((one) => (one.dataset.drawn ?? one.dataset.ready) === 'yes'), null, { timeout: 30_000 });
  await page.waitForFunction(() => [...document.querySelectorAll('[data-panel]')].every((one) => one.dataset.state !== 'loading'), null, { timeout: 30_000 });
  await page.evaluate(() => document.fonts.ready);
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
}
