// Dashboards: files that the server keeps, judged as a whole when they are written.
import { type Schemas, listed, send } from './client';
import type { Answer, Row } from './sql';

export type Item = Schemas['DashboardItem'];
export type Dashboard = Schemas['Dashboard'];
export type Panel = Schemas['Panel'];
export type Kind = Schemas['PanelKind'];
export type Variable = Schemas['Variable'];
export type Words = Schemas['Words'];
export type Place = Schemas['Place'];
export type Fault = Schemas['Fault'];
export type File = Schemas['DashboardFile'];
export interface Read {
  file: File;
  /** Names the content that was read. */
  tag: string;
}

export function dashboards(): Promise<Item[]> {
  return listed<Item>('/api/v1/dashboards');
}

const at = (name: string) => `/api/v1/dashboards/${encodeURIComponent(name)}`;

async function taken(response: Response): Promise<Read> {
  return { file: (await response.json()) as File, tag: response.headers.get('etag') ?? '' };
}

export async function dashboard(name: string): Promise<Read> {
  return taken(await send('GET', at(name)));
}

/** `tag` is of the content that was changed; null writes a new one and spares one that is there. */
export async function save(name: string, body: { toml: string } | { dashboard: Dashboard }, tag: string | null): Promise<Read> {
  const headers: Record<string, string> = tag === null ? { 'if-none-match': '*' } : { 'if-match': tag };
  return taken(await send('PUT', at(name), { body, headers }));
}

export async function remove(name: string, tag: string): Promise<void> {
  await send('DELETE', at(name), { headers: { 'if-match': tag } });
}

/** What a panel's statement may use. */
export interface Given {
  from: number;
  to: number;
  /** Seconds that a point on a chart stands for. */
  step: number;
  variables: Record<string, string>;
}

const ROWS_MAX = 5_000;
/** As many statements as the server gives one person at once (`statements_per_caller_max`). */
const AT_ONCE = 3;
let running = 0;
const waiting: (() => void)[] = [];

async function turn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  else running += 1;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else running -= 1;
  }
}

export async function ask(statement: string, given: Given, signal: AbortSignal): Promise<Answer> {
  return turn(async () => {
    signal.throwIfAborted();
    const body = {
      sql: statement.trim().replace(/;$/, ''),
      format: 'json',
      rows: ROWS_MAX,
      from: new Date(given.from).toISOString(),
      to: new Date(given.to).toISOString(),
      parameters: { ...given.variables, step: `${given.step} seconds` },
    };
    const response = await send('POST', '/api/v1/sql', { body, signal });
    return {
      rows: (await response.json()) as Row[],
      truncated: response.headers.get('kizashi-truncated') === 'true',
      versions: response.headers.get('kizashi-data-versions') ?? '',
    };
  });
}
