import { expect, test } from 'vitest';
import type { Check, Ticket } from '../api/client';
import { chosen, held, lines, type Wish } from './alerts';

type State = 'OK' | 'WARNING' | 'CRITICAL' | 'UNKNOWN';
const ALL: Wish = { text: '', states: [], tenant: '', kind: '', group: '' };

function check(check_id: string, state: State | null, more: { tenant?: string; since?: string; hard?: boolean; output?: string } = {}): Check {
  const { tenant = 'default', since = '2026-11-22T09:00:00Z', hard = true, output = '' } = more;
  const current = { state: state ?? 'OK', hard, attempt: 0, since, slot: since, stale: false, problem_open: false, output, recorded: false } as const;
  return { tenant, check_id, kind: 'disk', interval_ms: 30_000, enabled: true, current: state ? current : null };
}
const names = (checks: readonly Check[]) => checks.map((one) => one.check_id);

test('the worst comes first, confirmed before unconfirmed, the newest before the old', () => {
  const checks = [
    check('fine', 'OK'),
    check('waiting', null),
    check('warned', 'WARNING'),
    check('old', 'CRITICAL', { since: '2026-11-22T08:00:00Z' }),
    check('new', 'CRITICAL', { since: '2026-11-22T09:30:00Z' }),
    check('soft', 'CRITICAL', { since: '2026-11-22T09:59:00Z', hard: false }),
    check('unknown', 'UNKNOWN'),
  ];
  expect(names(chosen(checks, ALL, new Map()))).toEqual(['new', 'old', 'soft', 'unknown', 'warned', 'waiting', 'fine']);
});

test('a filter looks at name, tenant, output and assignee, and all its words must fit', () => {
  const checks = [check('disk:/var', 'OK', { output: '98 % used' }), check('web', 'OK', { tenant: 'aozora' }), check('db', 'CRITICAL')];
  const ticket = { tenant: 'default', check_id: 'db', assignee: 'sato' } as Ticket;
  const find = (wish: Partial<Wish>) => names(chosen(checks, { ...ALL, ...wish }, new Map([['default\ndb', ticket]])));
  expect(find({ text: 'VAR 98' })).toEqual(['disk:/var']);
  expect(find({ text: 'var 97' })).toEqual([]);
  expect(find({ text: 'sato' })).toEqual(['db']);
  expect(find({ tenant: 'aozora' })).toEqual(['web']);
  expect(find({ states: ['CRITICAL', 'WARNING'] })).toEqual(['db']);
  expect(find({ kind: 'ping' })).toEqual([]);
});

test('groups stand in the order of their worst check and count their states', () => {
  const checks = chosen([check('a', 'OK', { tenant: 'x' }), check('b', 'CRITICAL', { tenant: 'y' }), check('c', 'OK', { tenant: 'y' })], ALL, new Map());
  const grouped = lines(checks, 'tenant').map((line) => (line.type === 'head' ? [line.name, ...line.counts] : line.check.check_id));
  expect(grouped).toEqual([['y', ['CRITICAL', 1], ['OK', 1]], 'b', 'c', ['x', ['OK', 1]], 'a']);
});

test('while a list is held its rows keep their places and take new values, and newcomers are only counted', () => {
  const before = ['default\na', 'default\nb'];
  const fresh = [check('c', 'CRITICAL'), check('b', 'CRITICAL', { output: 'worse' }), check('a', 'OK')];
  const { checks, moved } = held(before, fresh);
  expect(names(checks)).toEqual(['a', 'b']);
  expect(checks[1]?.current?.output).toBe('worse');
  expect(moved).toBeGreaterThan(0);
  expect(held(['default\nc', 'default\nb', 'default\na'], fresh).moved).toBe(0);
});

test('10,000 checks are chosen, ordered and grouped within a quarter of a second', () => {
  const states: State[] = ['OK', 'OK', 'OK', 'WARNING', 'CRITICAL'];
  const checks = Array.from({ length: 10_000 }, (_, i) => check(`host-${i % 500}:disk-${i}`, states[i % 5]!, { tenant: `t${i % 20}`, since: new Date(i * 1000).toISOString() }));
  chosen(checks, ALL, new Map());
  const started = performance.now();
  const rows = lines(chosen(checks, { ...ALL, text: 'host' }, new Map()), 'tenant');
  expect(rows.length).toBe(10_020);
  expect(performance.now() - started).toBeLessThan(250);
});
