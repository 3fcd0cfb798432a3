// Both files hold the same messages with the same gaps, every message that the sources name is there, and none is left over.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import en from '../messages/en.json';
import ja from '../messages/ja.json';
import { fill } from './fill';

const SOURCES = join(import.meta.dirname, '..');
const texts = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.(svelte|ts)$/.test(name) && !name.endsWith('.test.ts'))
  .map((name) => readFileSync(join(SOURCES, name), 'utf8'));
const all = texts.join('\n');

const gaps = (text: string) => [...new Set([...text.matchAll(/\{(\w+)/g)].map((match) => match[1]))].sort();

test('the languages have the same messages', () => {
  expect(Object.keys(ja).sort()).toEqual(Object.keys(en).sort());
});

test('no message is empty, and none lost a gap in translation', () => {
  for (const [key, text] of Object.entries(en)) {
    const other = ja[key as keyof typeof ja];
    expect(text.trim(), key).not.toBe('');
    expect(other.trim(), key).not.toBe('');
    expect(gaps(other), key).toEqual(gaps(text));
  }
});

test('every message that a page names is in the files', () => {
  const named = [...all.matchAll(/\bt\(\s*'([a-z_]+\.\w+)'/g)].map((match) => match[1]!);
  expect(named.length).toBeGreaterThan(100);
  expect(named.filter((key) => !(key in en))).toEqual([]);
});

test('every word that the product may say is in the files', () => {
  const schema = readFileSync(join(SOURCES, 'api/schema.d.ts'), 'utf8');
  const values = (name: string) => {
    const line = new RegExp(`^ +${name}: ("[^;]+);`, 'm').exec(schema)?.[1] ?? '';
    return [...line.matchAll(/"(\w+)"/g)].map((match) => match[1]!);
  };
  const groups = { State: 'state', TicketKind: 'kind', TicketStatus: 'status', TicketAction: 'action', ClosureCode: 'code', Outcome: 'outcome', RejectStatus: 'reject' };
  for (const [name, group] of Object.entries(groups)) {
    expect(values(name).length, name).toBeGreaterThan(2);
    for (const value of values(name)) expect(en, name).toHaveProperty([`${group}.${value}`]);
  }
});

test('no message is left over', () => {
  const groups = /^(state|kind|status|action|code|outcome|reject|check|group|panel|place|field|changed|config|refused|step|backfill|upkeep_state)\./;
  const unused = Object.keys(en).filter((key) => !groups.test(key) && !all.includes(`'${key}'`));
  expect(unused).toEqual([]);
});

test('the pages hold no words of their own', () => {
  for (const text of texts) {
    const markup = text.replace(/<script[\s\S]*?<\/script>|<style[\s\S]*?<\/style>|<!--[\s\S]*?-->/g, '');
    if (!text.includes('<style') && !text.includes('<script')) continue;
    const words = [...markup.matchAll(/>([^<>{}]*[a-z]{4,}[^<>{}]*)</g)].map((match) => match[1]!.trim());
    expect(words.filter((word) => !/^(Kizashi|Excel|Parquet|Ctrl Enter|Ctrl K)$/.test(word) && !/=>|&&|\|\|/.test(word))).toEqual([]);
  }
});

test('a gap is filled, and a number chooses its form', () => {
  expect(fill('{n:one ticket|{n} tickets} of {name}', { n: 1, name: 'sato' })).toBe('one ticket of sato');
  expect(fill('{n:one ticket|{n} tickets} of {name}', { n: 3, name: 'sato' })).toBe('3 tickets of sato');
  expect(fill('{missing}', {})).toBe('{missing}');
});
