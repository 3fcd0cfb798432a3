// What the lists have in common: how bad a state is, what needs someone, and when "now" is for a recording.
import type { Check, Prediction, Ticket } from '../api/client';

const SEVERITY: Record<string, number> = { CRITICAL: 0, UNKNOWN: 1, WARNING: 2, PENDING: 3, OK: 4 };

export const STATES = ['CRITICAL', 'UNKNOWN', 'WARNING', 'PENDING', 'OK'] as const;

export function stateOf(check: Check): string {
  return check.current?.state ?? 'PENDING';
}

/** Worst first; among equals those confirmed, then the newest. */
export function bySeverity(a: Check, b: Check): number {
  const states = SEVERITY[stateOf(a)]! - SEVERITY[stateOf(b)]!;
  if (states !== 0) return states;
  const hard = Number(b.current?.hard ?? false) - Number(a.current?.hard ?? false);
  if (hard !== 0) return hard;
  const since = compare(b.current?.since ?? '', a.current?.since ?? '');
  return stateOf(a) === 'OK' || since === 0 ? byName(a, b) : since;
}

export function byName(a: Check, b: Check): number {
  return a.tenant === b.tenant ? compare(a.check_id, b.check_id) : compare(a.tenant, b.tenant);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What is about a recording last; nobody's first, then the most urgent, then the oldest. */
export function byNeed(a: Ticket, b: Ticket): number {
  if (a.recorded !== b.recorded) return Number(a.recorded) - Number(b.recorded);
  const nobody = Number(a.assignee !== null && a.assignee !== undefined) - Number(b.assignee !== null && b.assignee !== undefined);
  return nobody || a.priority - b.priority || compare(a.opened_at, b.opened_at);
}

/** The title without the check's name, which stands beside it. */
export function gist(ticket: Ticket): string {
  const rest = ticket.title.startsWith(ticket.check_id) ? ticket.title.slice(ticket.check_id.length).trim() : ticket.title;
  return rest.replace(/^(CRITICAL|WARNING|UNKNOWN): /, '');
}

export function stateOfTicket(ticket: Ticket): string {
  if (ticket.kind === 'prediction') return 'PREDICTED';
  const named = /(CRITICAL|WARNING|UNKNOWN)/.exec(ticket.title)?.[1];
  return named ?? (ticket.kind === 'incident' ? 'CRITICAL' : 'WARNING');
}

/** Milliseconds until the predicted time; a recording is judged at its own newest slot. */
export function timeLeft(of: Prediction, checks: ReadonlyMap<string, Check>, now: number): number {
  const check = checks.get(`${of.tenant}\n${of.check_id}`);
  const present = of.recorded ? Date.parse(check?.current?.slot ?? of.made_at) : now;
  return Date.parse(of.expected_at) - present;
}
