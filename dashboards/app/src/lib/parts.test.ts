import { expect, test } from 'vitest';
import { parsed } from '../api/events';
import type { CheckResult, Failure, Prediction } from '../api/client';
import { runs } from '../api/series';
import { quoted } from '../api/sql';
import { withBom } from './csv';
import { median, recalled, tallies } from './record';
import { lines, plottable } from './shape';

test('a block of the event stream gives its id, name and data, and a comment nothing', () => {
  expect(parsed('id: a/1\nevent: ticket\ndata: {"n":1}')).toEqual({ id: 'a/1', event: 'ticket', data: '{"n":1}' });
  expect(parsed('data: one\ndata: two')?.data).toBe('one\ntwo');
  expect(parsed(': still here')).toBeNull();
});

test('a value cannot leave its quotes', () => {
  expect(quoted("o'hare'; drop")).toBe("'o''hare''; drop'");
});

test('Excel gets its mark in front of the text', async () => {
  const bytes = new Uint8Array(await withBom(new TextEncoder().encode('名前\n').buffer as ArrayBuffer).arrayBuffer());
  expect([...bytes.slice(0, 3)]).toEqual([0xef, 0xbb, 0xbf]);
  expect(new TextDecoder().decode(bytes)).toBe('名前\n');
});

test('a result with times and numbers can be drawn, parted by a text of few values', () => {
  const rows = [
    { slot: '2026-11-22T09:31:00Z', metric: 'b', value: 2 },
    { slot: '2026-11-22T09:30:00Z', metric: 'a', value: 1 },
    { slot: '2026-11-22T09:30:00Z', metric: 'b', value: null },
  ];
  const shape = plottable(rows, ['slot', 'metric', 'value']);
  expect(shape).toEqual({ time: 'slot', values: ['value'], by: 'metric' });
  expect([...lines(rows, shape!)].map(([name, line]) => [name, line.map(([, value]) => value)])).toEqual([['b', [null, 2]], ['a', [1]]]);
  expect(plottable([{ a: 'x' }, { a: 'y' }], ['a'])).toBeNull();
});

test('results become stretches of one state', () => {
  const result = (minute: number, state: string) => ({ slot: `2026-11-22T09:${minute}:00Z`, state, interval_ms: 60_000 }) as CheckResult;
  const found = runs([result(33, 'OK'), result(32, 'CRITICAL'), result(31, 'CRITICAL'), result(30, 'OK')]);
  expect(found.map(({ state, at, until }) => [state, (until - at) / 60_000])).toEqual([['OK', 1], ['CRITICAL', 2], ['OK', 1]]);
});

test('a record counts what can be judged and leaves the rest out of the share', () => {
  const one = (outcome: string | null, hours = 0) =>
    ({ predictor: 'p', outcome, made_at: '2026-11-22T00:00:00Z', scored_at: outcome ? new Date(Date.UTC(2026, 10, 22, hours)).toISOString() : null }) as Prediction;
  const [tally] = tallies([one('hit', 6), one('hit', 2), one('miss'), one('prevented'), one('void'), one(null)]);
  expect(tally).toMatchObject({ hit: 2, miss: 1, prevented: 1, void: 1, open: 1, precision: 0.75, leads: [2, 6] });
  expect(median(tally!.leads)).toBe(4);
  expect(median([])).toBeNull();
});

test('recall is over what failed, and nobody knows it before anything did', () => {
  const failures = [true, true, false].map((foretold) => ({ foretold }) as Failure);
  expect(recalled(failures)).toEqual({ foretold: 2, missed: 1, recall: 2 / 3 });
  expect(recalled([])).toEqual({ foretold: 0, missed: 0, recall: null });
});
