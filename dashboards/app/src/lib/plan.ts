// The engine's account of a plan as a tree: one operator a line, indented by depth, with its figures in brackets.

export interface Step {
  name: string;
  /** What it does, without its figures. */
  about: string;
  /** Milliseconds of its own; null when the plan was not run. */
  ms: number | null;
  rows: number | null;
  depth: number;
}

const UNITS: Record<string, number> = { ns: 1e-6, µs: 1e-3, ms: 1, s: 1_000 };
const TIMES = ['elapsed_compute', 'time_elapsed_processing', 'bloom_filter_eval_time', 'build_time', 'join_time', 'sort_time'];

/** The operators of a plan, in its order; an empty list when the text is none. */
export function steps(text: string): Step[] {
  return text.split('\n').flatMap((line) => {
    const found = /^( *)(\w+Exec|\w+): ?(.*)$/.exec(line) ?? /^( *)(\w+Exec)(.*)$/.exec(line);
    if (!found || !found[2]!.endsWith('Exec')) return [];
    const [, space, name, rest] = found as unknown as [string, string, string, string];
    const at = rest.lastIndexOf('metrics=[');
    const figures = new Map<string, string>();
    if (at >= 0) for (const part of rest.slice(at + 9, rest.lastIndexOf(']')).split(/,\s+/)) figures.set(part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1));
    const times = TIMES.flatMap((key) => duration(figures.get(key)) ?? []);
    return [{ name: name.replace(/Exec$/, ''), about: (at >= 0 ? rest.slice(0, at) : rest).replace(/,\s*$/, ''), ms: times.length > 0 ? Math.max(...times) : null, rows: count(figures.get('output_rows')), depth: space.length / 2 }];
  });
}

function duration(text: string | undefined): number | null {
  const found = /^([\d.]+)(ns|µs|ms|s)$/.exec(text ?? '');
  return found ? Number(found[1]) * UNITS[found[2]!]! : null;
}

/** `1234`, `1.23 K` or `4.56 M`. */
function count(text: string | undefined): number | null {
  const found = /^([\d.]+)\s*([KMB])?$/.exec(text ?? '');
  return found ? Math.round(Number(found[1]) * ({ K: 1e3, M: 1e6, B: 1e9 }[found[2] ?? ''] ?? 1)) : null;
}
