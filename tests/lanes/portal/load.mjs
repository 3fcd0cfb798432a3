// The initial load: the page and whatever it loads before anyone signs in, as it goes over the wire. Charts and the editor
// come later.
import { readFileSync, statSync, existsSync } from 'node:fs';
import { join } from 'node:path';

const MOST = 300_000;
const dist = new URL('../../../dashboards/dist/', import.meta.url).pathname;
const page = readFileSync(join(dist, 'index.html'), 'utf8');
const size = (name) => statSync(existsSync(join(dist, `${name}.gz`)) ? join(dist, `${name}.gz`) : join(dist, name)).size;

const found = new Set(['index.html']);
for (const [, name] of page.matchAll(/(?:src|href)="\.\/([^"]+)"/g)) found.add(name);
// What a style sheet names is loaded too, and what a script imports at its top.
for (const name of found) {
  if (!/\.(css|js)$/.test(name)) continue;
  const text = readFileSync(join(dist, name), 'utf8');
  for (const [, asset] of text.matchAll(/url\(\.\/([\w.-]+)\)/g)) found.add(`assets/${asset}`);
  for (const [, asset] of text.matchAll(/(?:from|import)\s*"\.\/([\w.-]+\.js)"/g)) found.add(`assets/${asset}`);
}
let sum = 0;
for (const name of [...found].sort()) {
  sum += size(name);
  console.log(`${String(size(name)).padStart(8)}  ${name}`);
}
console.log(`${String(sum).padStart(8)}  bytes of initial load, at most ${MOST}`);
if (found.size < 5 || sum > MOST) process.exit(1);
