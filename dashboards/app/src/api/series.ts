// What the check's page draws, for one stretch of time.
import { type CheckResult, type Finding, type Prediction, type Schemas, type Ticket, all, listed, send } from './client';
import { quoted, sql, timestamp } from './sql';

export interface Point {
  at: number;
  value: number;
  low: number;
  high: number;
}
export interface Metric {
  metric: string;
  unit: string;
  limit: number | null;
  points: Point[];
}
export interface Span {
  at: number;
  until: number;
  state: string;
}
export interface Series {
  metrics: Metric[];
  states: Span[];
  findings: Finding[];
  predictions: Prediction[];
  tickets: Ticket[];
}

/** Points per metric that a chart can show; more are folded into buckets with their mean, minimum and maximum. */
const POINTS_MAX = 600;
const METRICS_MAX = 12;
const EVENTS_MAX = 200;

/** `rows` says whether the reader may ask in SQL; without it the states are those of the newest results. */
export async function series(tenant: string, check: string, from: number, to: number, rows: boolean, signal: AbortSignal): Promise<Series> {
  const [drawn, states, found] = await Promise.all([
    metrics(tenant, check, from, to, signal),
    rows ? stretches(tenant, check, from, to, signal) : results(tenant, check, from, to, '', signal, 1_000).then(runs),
    events(tenant, check, from, to, signal),
  ]);
  return { metrics: drawn, states, ...found };
}

/** Every metric that the check has, each with the least, the greatest and the mean of what a point stands for. */
async function metrics(tenant: string, check: string, from: number, to: number, signal: AbortSignal): Promise<Metric[]> {
  const known = await listed<Schemas['LatestSample']>('/api/v1/samples/latest', { query: { tenant, check_id: check, limit: METRICS_MAX }, signal });
  const during = { from: new Date(from).toISOString(), to: new Date(to).toISOString(), points: POINTS_MAX };
  const one = async (metric: string) => (await send('GET', '/api/v1/series', { query: { tenant, check_id: check, metric, ...during }, signal })).json() as Promise<Schemas['Series']>;
  const found = await Promise.all(known.map(({ metric }) => one(metric)));
  return found
    .filter(({ points }) => points.length > 0)
    .map(({ metric, unit, limit_value, points }) => ({
      metric,
      unit: unit ?? '',
      limit: limit_value ?? null,
      points: points.map((point) => ({ at: time(point.slot), value: point.avg, low: point.min, high: point.max })),
    }));
}

/** A run of equal states is one row, however many results it holds. */
async function stretches(tenant: string, check: string, from: number, to: number, signal: AbortSignal): Promise<Span[]> {
  const where = `tenant = ${quoted(tenant)} and check_id = ${quoted(check)} and slot >= ${timestamp(from)} and slot < ${timestamp(to)}`;
  const { rows } = await sql(
    `select state, min(slot) as at, max(slot) as until, max(interval_ms) as interval_ms from (
       select slot, state, interval_ms, row_number() over (order by slot) - row_number() over (partition by state order by slot) as run
       from check_results where ${where}) group by state, run order by at`,
    2_000,
    signal,
  );
  return rows.map((row) => ({ at: time(row.at), until: time(row.until) + Number(row.interval_ms), state: String(row.state) }));
}

type Events = Pick<Series, 'findings' | 'predictions' | 'tickets'>;

async function events(tenant: string, check: string, from: number, to: number, signal: AbortSignal): Promise<Events> {
  const about = { tenant, check_id: check };
  const during = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
  const [findings, predictions, tickets] = await Promise.all([
    all('/api/v1/findings', { ...about, ...during }, EVENTS_MAX, signal),
    all('/api/v1/predictions', { ...about, ...during }, EVENTS_MAX, signal),
    all('/api/v1/tickets', about, EVENTS_MAX, signal),
  ]);
  return { findings, predictions, tickets: tickets.filter((ticket) => time(ticket.opened_at) >= from && time(ticket.opened_at) < to) };
}

/** Results, newest first, as stretches of one state. */
export function runs(newest: readonly CheckResult[]): Span[] {
  const found: Span[] = [];
  for (const result of newest.toReversed()) {
    const until = time(result.slot) + result.interval_ms;
    const last = found.at(-1);
    if (last?.state === result.state) last.until = until;
    else found.push({ at: time(result.slot), until, state: result.state });
  }
  return found;
}

function time(value: unknown): number {
  return Date.parse(String(value));
}

export function results(
  tenant: string,
  check: string,
  from: number,
  to: number,
  state: string,
  signal: AbortSignal,
  most = 500,
): Promise<CheckResult[]> {
  const during = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
  return all('/api/v1/results', { tenant, check_id: check, state, ...during }, most, signal);
}
