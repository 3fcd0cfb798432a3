import { expect, test } from 'vitest';
import type { Panel, Place } from '../api/dashboards';
import { both, filed, free, guessed, joined, length, meets, said, settled, step } from './dashboard';

const at = (x: number, y: number, width: number, height: number): Place => ({ x, y, width, height });
const apart = (places: Place[]) => places.every((a, i) => places.every((b, j) => i >= j || !meets(a, b)));

test('a text is one for all or one per language', () => {
  expect(said('Disks', 'ja')).toBe('Disks');
  expect(said({ en: 'Disks', ja: 'ディスク' }, 'ja')).toBe('ディスク');
  expect(joined({ en: 'Disks', ja: '' })).toBe('Disks');
  expect(joined(both({ en: 'Disks', ja: 'ディスク' }))).toEqual({ en: 'Disks', ja: 'ディスク' });
});

test('a point of a chart is a span that people know, and there are at most 240', () => {
  expect(length('6h')).toBe(21_600_000);
  expect(length('soon')).toBe(0);
  for (const span of ['1m', '1h', '6h', '24h', '7d', '30d', '366d']) {
    expect(length(span) / 1_000 / step(0, length(span))).toBeLessThanOrEqual(240);
  }
  expect(step(0, 3_600_000)).toBe(15);
});

test('a panel that is moved keeps its place, and the others make room', () => {
  const places = [at(0, 0, 6, 4), at(6, 0, 6, 4), at(0, 4, 12, 4)];
  const dragged = settled([at(0, 0, 6, 4), at(6, 0, 6, 4), at(0, 2, 12, 4)], 2);
  expect(dragged[2]).toEqual(at(0, 2, 12, 4));
  expect(apart(dragged)).toBe(true);
  expect(settled(places, 0)).toEqual(places);
  // Wider than before: its neighbour goes below.
  const wide = settled([at(0, 0, 12, 4), at(6, 0, 6, 4), at(0, 4, 12, 4)], 0);
  expect(apart(wide)).toBe(true);
  expect(wide[1]!.y).toBeGreaterThanOrEqual(4);
});

test('a new panel lies beside the last one where there is room, else below everything', () => {
  const panel = (place: Place) => ({ title: 'x', kind: 'table', at: place }) as Panel;
  expect(free([], 6, 5)).toEqual(at(0, 0, 6, 5));
  expect(free([panel(at(0, 0, 6, 5))], 6, 5)).toEqual(at(6, 0, 6, 5));
  expect(free([panel(at(0, 0, 12, 5))], 6, 5)).toEqual(at(0, 5, 6, 5));
});

test('rows say how they are best shown', () => {
  const slot = (n: number) => `2026-11-22T09:0${n}:00Z`;
  expect(guessed([{ n: 1 }])).toBe('stat');
  expect(guessed([1, 2, 3].map((n) => ({ slot: slot(n), value: n })))).toBe('time_series');
  expect(guessed([1, 2, 3].map((n) => ({ slot: slot(n), state: 'OK' })))).toBe('state_timeline');
  expect(guessed([{ a: 'x', b: 'y' }, { a: 'x', b: 'y' }])).toBe('table');
});

test('a title makes a file name', () => {
  expect(filed('Disks of the Centre!')).toBe('disks-of-the-centre');
  expect(filed('ディスク')).toMatch(/^dashboard-[a-z0-9]+$/);
});
