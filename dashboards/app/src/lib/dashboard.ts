// What a dashboard's page works out: words of the reader's language, time ranges, and places on the grid.
import type { Dashboard, Kind, Panel, Place, Words } from '../api/dashboards';
import type { Row } from '../api/sql';
import type { Language } from './i18n.svelte';
import { plottable } from './shape';

export const COLUMNS = 12;
/** Points that a chart has room for. */
const POINTS = 240;
const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
export const KINDS: readonly Kind[] = ['time_series', 'stat', 'table', 'heat_map', 'state_timeline', 'text'];

export function said(words: Words | null | undefined, language: Language): string {
  if (!words) return '';
  return typeof words === 'string' ? words : words[language];
}

/** Both languages of a text, to be edited. */
export function both(words: Words | null | undefined): { en: string; ja: string } {
  if (!words) return { en: '', ja: '' };
  return typeof words === 'string' ? { en: words, ja: words } : { ...words };
}

/** One text when both are the same; the other language stands in for one that is left empty. */
export function joined({ en, ja }: { en: string; ja: string }): Words {
  const [first, second] = [en.trim() || ja.trim(), ja.trim() || en.trim()];
  return first === second ? first : { en: first, ja: second };
}

/** `6h` in milliseconds; 0 when it is no span. */
export function length(span: string): number {
  const found = /^(\d+)(ms|s|m|h|d)$/.exec(span);
  return found ? Number(found[1]) * UNITS[found[2]!]! : 0;
}

/** Seconds of one point: a whole number that people know, at least one. */
export function step(from: number, to: number): number {
  const wanted = Math.max(1, (to - from) / POINTS / 1_000);
  const known = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400];
  return known.find((one) => one >= wanted) ?? Math.ceil(wanted / 86_400) * 86_400;
}

export function meets(a: Place, b: Place): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

/** The places after `moved` has taken its own: what it lies over goes below it, and what has room goes up. */
export function settled(places: readonly Place[], moved: number): Place[] {
  const order = places.map((_, index) => index).sort((a, b) => places[a]!.y - places[b]!.y || Number(b === moved) - Number(a === moved) || places[a]!.x - places[b]!.x);
  const done: Place[] = [];
  const found = [...places];
  const put = (index: number, from: number) => {
    const at = { ...places[index]!, y: from };
    while (done.some((other) => meets(other, at))) at.y += 1;
    found[index] = at;
    done.push(at);
  };
  const held = places[moved];
  if (held) done.push(held);
  for (const index of order) if (index !== moved) put(index, lowest(places[index]!, done, held));
  return found;
}

/** The highest row at which a panel that stands in its column lies free, not above what it was below of. */
function lowest(place: Place, done: readonly Place[], held: Place | undefined): number {
  let y = place.y;
  while (y > 0) {
    const up = { ...place, y: y - 1 };
    if (done.some((other) => meets(other, up)) || (held && meets(held, up))) break;
    y -= 1;
  }
  return y;
}

/** Below everything, at the left. */
export function free(panels: readonly Panel[], width: number, height: number): Place {
  const bottom = panels.reduce((most, { at }) => Math.max(most, at.y + at.height), 0);
  const last = panels.at(-1)?.at;
  // Beside the last one where it fits.
  if (last && last.y + last.height === bottom && last.x + last.width + width <= COLUMNS) {
    const at = { x: last.x + last.width, y: last.y, width, height };
    if (!panels.some((panel) => meets(panel.at, at))) return at;
  }
  return { x: 0, y: bottom, width, height };
}

/** The kind that shows these rows best. */
export function guessed(rows: readonly Row[]): Kind {
  const names = Object.keys(rows[0] ?? {});
  if (names.includes('state') && plottable(rows, names) === null && rows.length > 1 && names.some((name) => /^\d{4}-\d\d-\d\dT/.test(String(rows[0]![name])))) return 'state_timeline';
  if (plottable(rows, names)) return 'time_series';
  return rows.length === 1 && names.length === 1 ? 'stat' : 'table';
}

export function empty(title: Words, panel: Panel): Dashboard {
  return { title, range: '6h', panel: [panel] };
}

/** A name for a file, from a title. */
export function filed(title: string): string {
  const name = title
    .toLowerCase()
    .normalize('NFKD')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60);
  return name || `dashboard-${Date.now().toString(36)}`;
}

/** A copy without what was left empty, as it goes into the file. */
export function tidied(dashboard: Dashboard): Dashboard {
  const { description, refresh, variable, panel, ...rest } = JSON.parse(JSON.stringify(dashboard)) as Dashboard;
  const words = (of: Words | null | undefined) => (of && joined(both(of))) || null;
  const variables = (variable ?? []).map(({ name, label, values, query, default: chosen }) => ({
    name,
    ...(words(label) && { label: words(label)! }),
    ...(values?.length ? { values } : {}),
    ...(query?.trim() ? { query } : {}),
    ...(chosen ? { default: chosen } : {}),
  }));
  return {
    ...rest,
    title: joined(both(rest.title)),
    ...(words(description) && { description: words(description)! }),
    ...(refresh ? { refresh } : {}),
    ...(variables.length > 0 ? { variable: variables } : {}),
    panel: (panel ?? []).map(({ title, kind, at, sql, text, unit, warning, critical }) => ({
      title: joined(both(title)),
      kind,
      at,
      ...(unit?.trim() ? { unit: unit.trim() } : {}),
      ...(typeof warning === 'number' ? { warning } : {}),
      ...(typeof critical === 'number' ? { critical } : {}),
      ...(kind !== 'text' && sql?.trim() ? { sql } : {}),
      ...(kind === 'text' && words(text) ? { text: words(text)! } : {}),
    })),
  };
}
