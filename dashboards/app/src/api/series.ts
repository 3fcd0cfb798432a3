// What the check's page draws, for one stretch of time.
import { type CheckResult, type Finding, type Prediction, type Ticket, all } from './client';
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

/** `values` says whether the reader may ask in SQL; without it there are states and events, from the newest results. */
export async function series(tenant: string, check: string, from: number, to: number, values: boolean, signal: AbortSignal): Promise<Series> {
  if (!values) {
    const [newest, found] = await Promise.all([results(tenant, check, from, to, '', signal, 1_000), events(tenant, check, from, to, signal)]);
    return { metrics: [], states: runs(newest), ...found };
  }
  const bucket = Math.max(1, Math.ceil((to - from) / POINTS_MAX / 1000));
  const where = `tenant = ${quoted(tenant)} and check_id = ${quoted(check)} and slot >= ${timestamp(from)} and slot < ${timestamp(to)}`;
  const bin = `date_bin(interval '${bucket} seconds', slot, timestamp '1970-01-01T00:00:00Z')`;
  const samples = sql(
    `select metric, max(unit) as unit, max(limit_value) as limit_value, ${bin} as at, avg(value) as value, min(value) as low, max(value) as high
     from samples where ${where} group by metric, ${bin} order by metric, at`,
    POINTS_MAX * METRICS_MAX,
    signal,
  );
  // A run of equal states is one row, however many results it holds.
  const states = sql(
    `select state, min(slot) as at, max(slot) as until, max(interval_ms) as interval_ms from (
       select slot, state, interval_ms, row_number() over (order by slot) - row_number() over (partition by state order by slot) as run
       from check_results where ${where}) group by state, run order by at`,
    2_000,
    signal,
  );
  const [metricRows, stateRows, found] = await Promise.all([samples, states, events(tenant, check, from, to, signal)]);
  const metrics = new Map<string, Metric>();
  for (const row of metricRows.rows) {
    const name = String(row.metric);
    let metric = metrics.get(name);
    if (!metric) {
      metric = { metric: name, unit: String(row.unit ?? ''), limit: (row.limit_value as number | null) ?? null, points: [] };
      metrics.set(name, metric);
    }
    metric.points.push({ at: time(row.at), value: Number(row.value), low: Number(row.low), high: Number(row.high) });
  }
  return {
    metrics: [...metrics.values()],
    states: stateRows.rows.map((row) => ({
      at: time(row.at),
      until: time(row.until) + Number(row.interval_ms),
      state: String(row.state),
    })),
    ...found,
  };
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
