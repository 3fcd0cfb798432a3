// Whether a result can be drawn: a column of times, columns of numbers, and a text column with few values that parts them.
import type { Row } from '../api/sql';

export interface Shape {
  time: string;
  values: string[];
  by: string | null;
}

const TIME = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d|$)/;
const SERIES_MAX = 12;

export function plottable(rows: readonly Row[], names: readonly string[]): Shape | null {
  if (rows.length < 2) return null;
  const sample = rows.slice(0, 50);
  const every = (name: string, fits: (value: unknown) => boolean) => {
    const known = sample.map((row) => row[name]).filter((value) => value !== null && value !== undefined);
    return known.length > 0 && known.every(fits);
  };
  const time = names.find((name) => every(name, (value) => typeof value === 'string' && TIME.test(value)));
  const values = names.filter((name) => every(name, (value) => typeof value === 'number')).slice(0, SERIES_MAX);
  if (!time || values.length === 0) return null;
  const few = (name: string) => new Set(rows.map((row) => row[name])).size <= SERIES_MAX;
  const by = names.find((name) => name !== time && every(name, (value) => typeof value === 'string') && few(name)) ?? null;
  return { time, values, by };
}

export function lines(rows: readonly Row[], { time, values, by }: Shape): Map<string, [number, number | null][]> {
  const found = new Map<string, [number, number | null][]>();
  for (const row of rows) {
    for (const name of values) {
      const label = by ? (values.length > 1 ? `${String(row[by])} ${name}` : String(row[by])) : name;
      const line = found.get(label) ?? [];
      found.set(label, line);
      line.push([Date.parse(String(row[time])), (row[name] as number | null) ?? null]);
    }
  }
  for (const line of found.values()) line.sort((a, b) => a[0] - b[0]);
  return new Map([...found].slice(0, SERIES_MAX));
}
