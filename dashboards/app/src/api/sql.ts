// SQL through the API, and the one place that quotes a value into a statement.
import { send } from './client';

export type Row = Record<string, unknown>;
export interface Answer {
  rows: Row[];
  truncated: boolean;
  versions: string;
}
export type Format = 'csv' | 'json' | 'parquet';

export async function sql(statement: string, rows = 10_000, signal?: AbortSignal): Promise<Answer> {
  const response = await ask(statement, 'json', rows, signal);
  return {
    rows: (await response.json()) as Row[],
    truncated: response.headers.get('kizashi-truncated') === 'true',
    versions: response.headers.get('kizashi-data-versions') ?? '',
  };
}

export function ask(statement: string, format: Format, rows: number, signal?: AbortSignal): Promise<Response> {
  const options = { body: { sql: statement, format, rows } };
  return send('POST', '/api/v1/sql', signal ? { ...options, signal } : options);
}

export function quoted(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

export function timestamp(ms: number): string {
  return `timestamp '${new Date(ms).toISOString()}'`;
}
