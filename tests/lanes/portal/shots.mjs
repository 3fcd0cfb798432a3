// A picture of every page in both languages and both themes, on a desk, on a phone and, for the wall, in 4K: shots.mjs FOLDER
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { launch, open, settled, signIn, visit } from './browser.mjs';
import { running } from './product.mjs';

const folder = process.argv[2];
if (!folder) throw new Error('usage: shots.mjs FOLDER');
mkdirSync(folder, { recursive: true });

const product = await running();
const { prediction, ticket } = await product.examples();
const PAGES = [
  ['overview', ''],
  ['alerts', 'alerts'],
  ['alerts-grouped', 'alerts?group=tenant'],
  ['tiles', 'alerts?view=tiles&group=tenant'],
  ['check', 'check/aozora/disk%3A%2Fsrv%2Fmail?range=24h'],
  ['check-season', 'check/aozora/url%3Alogin?range=7d'],
  ['tickets', 'tickets'],
  ['board', 'tickets?view=board'],
  ['ticket', `tickets/${ticket}`],
  ['predictions', `predictions?id=${encodeURIComponent(prediction)}`],
  ['sql', 'sql'],
  ['dashboards', 'dashboards'],
  ['dashboard-host', 'dashboards/host'],
  ['dashboard-service', 'dashboards/service?var_tenant=aozora'],
  ['dashboard-edit', 'dashboards/host?edit=1'],
  ['rejects', 'rejects'],
  ['pipeline', 'pipeline?step=samples_hourly'],
  ['configuration', 'configuration'],
  ['configuration-add', 'configuration?check=new'],
];
const LOOKS = [
  { name: 'en-dark', language: 'en', theme: 'dark' },
  { name: 'en-light', language: 'en', theme: 'light' },
  { name: 'ja-dark', language: 'ja', theme: 'dark' },
  { name: 'ja-light', language: 'ja', theme: 'light' },
  { name: 'phone-ja-dark', language: 'ja', theme: 'dark', width: 390, height: 844 },
  { name: 'phone-en-light', language: 'en', theme: 'light', width: 390, height: 844 },
  { name: '4k-en-dark', language: 'en', theme: 'dark', width: 3840, height: 2160, only: ['overview', 'alerts', 'tiles', 'check', 'dashboard-host'] },
];
const wanted = process.argv[3]?.split(',');

const browser = await launch();
try {
  for (const look of LOOKS.filter(({ name }) => !wanted || wanted.includes(name))) {
    const { page, errors, context } = await open(browser, product.url, look);
    await page.goto(product.url);
    await page.locator('form').waitFor();
    await page.screenshot({ path: join(folder, `${look.name}-sign-in.png`) });
    await signIn(page, product.url, product);
    await settled(page);
    for (const [name, place] of PAGES.filter(([name]) => !look.only || look.only.includes(name))) {
      await visit(page, place);
      if (name === 'sql') {
        await page.locator('[data-test=run]').click();
        await page.locator('[data-virtual]').last().waitFor();
      }
      await page.mouse.move(0, 0);
      await page.waitForTimeout(300);
      await page.screenshot({ path: join(folder, `${look.name}-${name}.png`) });
    }
    await page.keyboard.press('Control+k');
    await page.screenshot({ path: join(folder, `${look.name}-palette.png`) });
    await context.close();
    for (const error of errors) console.error(`${look.name}: ${error}`);
  }
} finally {
  await browser.close();
  await product.end();
}
console.log(`pictures are in ${folder}`);
