// Which checks the alert list shows, in which order, under which heads: pure, so that 10,000 can be tested and timed.
import type { Check, Ticket } from '../api/client';
import { bySeverity, stateOf } from './judge';

export interface Wish {
  text: string;
  states: readonly string[];
  tenant: string;
  kind: string;
  group: string;
}

export type Line =
  | { type: 'head'; key: string; name: string; counts: [string, number][]; size: number }
  | { type: 'check'; key: string; check: Check };

export function chosen(checks: readonly Check[], wish: Wish, ticketOf: ReadonlyMap<string, Ticket>): Check[] {
  const words = wish.text.toLowerCase().split(/\s+/).filter(Boolean);
  const states = new Set(wish.states);
  const fits = (check: Check) => {
    if (states.size > 0 && !states.has(stateOf(check))) return false;
    if (wish.tenant && check.tenant !== wish.tenant) return false;
    if (wish.kind && (check.kind ?? 'import') !== wish.kind) return false;
    if (words.length === 0) return true;
    const assignee = ticketOf.get(keyOf(check))?.assignee ?? '';
    const text = `${check.check_id} ${check.tenant} ${check.current?.output ?? ''} ${assignee}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  return checks.filter(fits).sort(bySeverity);
}

export function lines(checks: readonly Check[], group: string): Line[] {
  const of = GROUPS[group];
  if (!of) return checks.map(line);
  const groups = new Map<string, Check[]>();
  for (const check of checks) {
    const name = of(check);
    const members = groups.get(name);
    if (members) members.push(check);
    else groups.set(name, [check]);
  }
  // Checks come worst first, so the groups stand in the order of their worst member.
  return [...groups].flatMap(([name, members]) => [
    { type: 'head' as const, key: `head ${name}`, name, counts: counted(members), size: members.length },
    ...members.map(line),
  ]);
}

export const GROUPS: Record<string, (check: Check) => string> = {
  tenant: (check) => check.tenant,
  state: stateOf,
  kind: (check) => check.kind ?? 'import',
  prefix: (check) => /^[^:.\-/]+/.exec(check.check_id)?.[0] ?? check.check_id,
};

function counted(checks: readonly Check[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const check of checks) counts.set(stateOf(check), (counts.get(stateOf(check)) ?? 0) + 1);
  return [...counts];
}

/** The order of before with the newest values: nothing moves under the cursor. Says how many would. */
export function held(before: readonly string[], fresh: readonly Check[]): { checks: Check[]; moved: number } {
  const byKey = new Map(fresh.map((check) => [keyOf(check), check]));
  const kept = before.flatMap((key) => byKey.get(key) ?? []);
  if (kept.length === 0) return { checks: [...fresh], moved: 0 };
  let moved = Math.abs(fresh.length - kept.length);
  for (const [index, check] of kept.entries()) if (fresh[index] && keyOf(fresh[index]) !== keyOf(check)) moved += 1;
  return { checks: kept, moved };
}

function line(check: Check): Line {
  return { type: 'check', key: keyOf(check), check };
}

function keyOf(of: { tenant: string; check_id: string }): string {
  return `${of.tenant}\n${of.check_id}`;
}
