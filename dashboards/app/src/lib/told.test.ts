import { expect, test } from 'vitest';
import type { Check, CheckResult } from '../api/client';
import { newer, told } from './told';

const at = (minute: number) => `2026-11-22T09:0${minute}:00Z`;
const current = { state: 'OK', hard: true, attempt: 0, since: at(0), slot: at(1), stale: false, problem_open: false, output: 'fine', recorded: false } as const;
const check: Check = { tenant: 'default', check_id: 'disk:/', kind: 'disk', interval_ms: 60_000, enabled: true, current };

function result(state: CheckResult['state'], minute: number): CheckResult {
  const { tenant, check_id } = check;
  return { tenant, check_id, kind: 'disk', slot: at(minute), state, output: `at ${minute}`, duration_ms: 1, lateness_ms: 0, interval_ms: 60_000, recorded: false };
}

test('a new state is shown at once and is soft until the server says more; one that was there goes on', () => {
  const failed = told(check, result('CRITICAL', 2));
  expect(failed.current).toMatchObject({ state: 'CRITICAL', hard: false, attempt: 1, since: at(2), slot: at(2), output: 'at 2' });
  expect(told(failed, result('CRITICAL', 3)).current).toMatchObject({ since: at(2), slot: at(3), output: 'at 3', hard: false });
  expect(told(failed, result('OK', 3)).current).toMatchObject({ state: 'OK', hard: true, attempt: 0, since: at(3) });
  expect(told({ ...check, current: null }, result('OK', 1)).current).toMatchObject({ state: 'OK', since: at(1) });
});

test('what is older than what is known changes nothing', () => {
  expect(told(check, result('CRITICAL', 1))).toBe(check);
  const ahead = told(check, result('CRITICAL', 2));
  expect(newer(ahead, check)).toBe(ahead);
  const judged: Check = { ...check, current: { ...current, state: 'CRITICAL', slot: at(2) } };
  expect(newer(ahead, judged)).toBe(judged);
  expect(newer(undefined, check)).toBe(check);
  const removed: Check = { ...check, current: null };
  expect(newer(ahead, removed)).toBe(removed);
});
