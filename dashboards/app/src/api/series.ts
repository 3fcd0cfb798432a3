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

export async function series(tenant: string, check: string, from: number, to: number, signal: AbortSignal): Promise<Series> {
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
  const about = { tenant, check_id: check };
  const during = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
  const [metricRows, stateRows, findings, predictions, tickets] = await Promise.all([
    samples,
    states,
    all('/api/v1/findings', { ...about, ...during }, EVENTS_MAX, signal),
    all('/api/v1/predictions', { ...about, ...during }, EVENTS_MAX, signal),
    all('/api/v1/tickets', about, EVENTS_MAX, signal),
  ]);
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
    findings,
    predictions,
    tickets: tickets.filter((ticket) => time(ticket.opened_at) >= from && time(ticket.opened_at) < to),
  };
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
): Promise<CheckResult[]> {
  const during = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
  return all('/api/v1/results', { tenant, check_id: check, state, ...during }, 500, signal);
}
