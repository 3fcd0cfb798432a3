// A check's state as it comes by two ways: at once by an event, and complete from the server. Pure.
import type { Check, CheckResult } from '../api/client';

/** The check after a result that an event told; soft until the server says otherwise, because of its state it knows nothing more. */
export function told(check: Check, result: CheckResult): Check {
  const { slot, output, state, recorded } = result;
  const { current } = check;
  if (current && current.slot >= slot) return check;
  if (current?.state === state && !current.stale) return { ...check, current: { ...current, slot, output } };
  const good = state === 'OK';
  return { ...check, current: { state, hard: good, attempt: good ? 0 : 1, since: slot, slot, stale: false, problem_open: current?.problem_open ?? false, output, recorded } };
}

/** What the server says of a check, unless an event told of a result that it had not judged yet. */
export function newer(before: Check | undefined, said: Check): Check {
  const ahead = before?.current && said.current && before.current.slot > said.current.slot && before.current.recorded === said.current.recorded;
  return ahead ? before : said;
}
