// What the panels of a dashboard draw on canvases: lines, a heat map, a state timeline and the course under a figure.
import type { EChartsCoreOption } from 'echarts/core';
import type { Panel } from '../api/dashboards';
import type { Row } from '../api/sql';
import { t, word } from './i18n.svelte';
import { type Shape, lines } from './shape';
import { colour, rem } from './theme.svelte';
import { full, short } from './time.svelte';
import { number } from './words';

const SHADES = ['accent', 'warning', 'ok', 'unknown', 'critical', 'predicted'];
const DASHES: ('solid' | number[])[] = ['solid', [6, 3], [2, 3]];
const TOKENS: Record<string, string> = { OK: 'ok', WARNING: 'warning', CRITICAL: 'critical', UNKNOWN: 'unknown' };
const TIME = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d|$)/;
const ROWS_MAX = 40;

export interface Stretch {
  from: number;
  to: number;
  /** Seconds. */
  step: number;
}

interface Api {
  value(index: number): number | string;
  coord(at: (number | string)[]): number[];
  /** In pixels, of so much on each axis. */
  size(of: number[]): number[];
}

/** What a number says by the panel's thresholds; low ones are bad when `critical` is below `warning`. */
export function judged(value: number | null, { warning, critical }: Pick<Panel, 'warning' | 'critical'>): 'OK' | 'WARNING' | 'CRITICAL' | null {
  if (value === null || ((warning ?? null) === null && (critical ?? null) === null)) return null;
  const falling = typeof warning === 'number' && typeof critical === 'number' && critical < warning;
  const past = (limit: number | null | undefined) => typeof limit === 'number' && (falling ? value <= limit : value >= limit);
  return past(critical) ? 'CRITICAL' : past(warning) ? 'WARNING' : 'OK';
}

export function unit(of: string | null | undefined): string {
  return of && of !== '1' ? (of === '%' ? ' %' : ` ${of}`) : '';
}

function base(font: string) {
  const size = rem() * 0.6875;
  const [dim, rule, text, raised] = [colour('dim'), colour('line'), colour('text'), colour('raised')];
  const label = { color: dim, fontFamily: font, fontSize: size };
  const x = (stretch: Stretch) => ({ type: 'time' as const, min: stretch.from, max: stretch.to, axisLabel: { ...label, hideOverlap: true, formatter: (at: number) => short(at) }, axisTick: { show: false }, axisLine: { lineStyle: { color: rule } }, splitLine: { show: false }, axisPointer: { lineStyle: { color: dim } } });
  const tooltip = { renderMode: 'html' as const, appendTo: 'body', className: 'chart-tip', backgroundColor: raised, borderColor: rule, textStyle: { color: text, fontSize: rem() * 0.75 } };
  const brush = { xAxisIndex: 0, brushStyle: { color: colour('accent'), opacity: 0.15, borderWidth: 0 }, transformable: false };
  return { size, dim, rule, text, label, x, tooltip, brush, common: { animation: false, textStyle: { fontFamily: font }, toolbox: { show: false } } };
}

/** A node rather than HTML text: inline styles in text would be refused by the page's own policy. */
function told(parts: readonly [string, string][]): HTMLElement {
  const box = document.createElement('div');
  for (const [name, text] of parts) {
    const part = document.createElement(name);
    part.textContent = text;
    box.append(part);
  }
  return box;
}

export function series(rows: readonly Row[], shape: Shape, panel: Panel, stretch: Stretch, font: string): EChartsCoreOption {
  const { size, label, rule, x, tooltip, brush, common, dim } = base(font);
  // By name, whatever order the rows came in: a line keeps its colour from one refresh to the next.
  const all = [...lines(rows, shape)].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
  const limits = [
    ['warning', panel.warning],
    ['critical', panel.critical],
  ].flatMap(([token, at]) => (typeof at === 'number' ? [{ yAxis: at, lineStyle: { color: colour(String(token)), type: 'dashed' as const, width: 1 } }] : []));
  return {
    ...common,
    grid: { left: size * 4.5, right: size * 1.2, top: all.length > 1 ? size * 2.6 : size * 0.8, bottom: size * 2 },
    legend: { show: all.length > 1, type: 'scroll', top: 0, left: 0, itemWidth: size * 1.4, itemHeight: size * 0.5, icon: 'roundRect', textStyle: label, pageIconColor: dim, pageTextStyle: label, inactiveColor: rule },
    xAxis: x(stretch),
    yAxis: { type: 'value', scale: true, axisLabel: { ...label, formatter: (value: number) => number(value) }, splitLine: { lineStyle: { color: rule } } },
    dataZoom: [{ type: 'inside', filterMode: 'none', zoomOnMouseWheel: 'ctrl', moveOnMouseWheel: false }],
    brush,
    tooltip: {
      ...tooltip,
      trigger: 'axis',
      formatter: (shown: unknown) => {
        const found = shown as { seriesName: string; value: [number, number | null] }[];
        const at = found[0]?.value[0];
        const figures = found.filter((one) => one.value[1] !== null).map((one): [string, string] => ['div', `${one.seriesName}: ${number(one.value[1]!)}${unit(panel.unit)}`]);
        return told(at === undefined ? [] : [['b', full(at)], ...figures]);
      },
    },
    series: all.map(([name, data], index) => {
      const shade = colour(SHADES[index % SHADES.length]!);
      const type = DASHES[Math.floor(index / SHADES.length) % DASHES.length];
      const markLine = index === 0 && limits.length > 0 ? { silent: true, symbol: 'none', animation: false, label: { show: false }, data: limits } : undefined;
      return { type: 'line', name, data: broken(data, stretch.step), connectNulls: false, symbol: data.length < 3 ? 'circle' : 'none', symbolSize: 4, lineStyle: { color: shade, width: 1.6, type }, itemStyle: { color: shade }, markLine };
    }),
  };
}

/** A stretch without points is a gap, not a line across it. */
function broken(data: readonly [number, number | null][], step: number): [number, number | null][] {
  const gaps = data.slice(1).map(([at], index) => at - data[index]![0]);
  const usual = [...gaps].sort((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? 0;
  const most = Math.max(usual * 3.5, step * 2_500);
  return data.flatMap((point, index): [number, number | null][] => (index > 0 && point[0] - data[index - 1]![0] > most ? [[data[index - 1]![0] + 1, null], point] : [point]));
}

/** The line under a figure, without axes. */
export function course(points: readonly [number, number | null][], state: string | null, font: string): EChartsCoreOption {
  const shade = colour(state ? (TOKENS[state] ?? 'accent') : 'accent');
  return {
    ...base(font).common,
    grid: { left: 0, right: 0, top: 2, bottom: 0 },
    xAxis: { type: 'time', show: false, min: 'dataMin', max: 'dataMax' },
    yAxis: { type: 'value', scale: true, show: false },
    series: [{ type: 'line', data: points, symbol: 'none', silent: true, lineStyle: { color: shade, width: 1.4 }, areaStyle: { color: shade, opacity: 0.12 } }],
  };
}

export interface Cells {
  names: string[];
  cells: [number, number, number | null][];
  low: number;
  high: number;
}

/** Times, the column that names a row, and the number of each cell. */
export function cells(rows: readonly Row[]): Cells | null {
  const columns = Object.keys(rows[0] ?? {});
  const first = (fits: (value: unknown) => boolean, taken: readonly string[] = []) => columns.find((name) => !taken.includes(name) && rows.some((row) => fits(row[name])) && rows.every((row) => row[name] === null || fits(row[name])));
  const time = first((value) => typeof value === 'string' && TIME.test(value));
  if (!time) return null;
  const by = first((value) => typeof value === 'string', [time]) ?? columns.find((name) => name !== time && typeof rows[0]![name] === 'number');
  const value = by && columns.findLast((name) => name !== time && name !== by && rows.some((row) => typeof row[name] === 'number'));
  if (!by || !value) return null;
  const names = [...new Set(rows.map((row) => String(row[by])))].sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).slice(0, ROWS_MAX);
  const at = new Map(names.map((name, index) => [name, index]));
  const found = rows.flatMap((row): [number, number, number | null][] => {
    const index = at.get(String(row[by]));
    return index === undefined ? [] : [[Date.parse(String(row[time])), index, (row[value] as number | null) ?? null]];
  });
  const values = found.flatMap(([, , one]) => (one === null ? [] : [one]));
  return { names, cells: found, low: Math.min(...values), high: Math.max(...values) };
}

export function heat({ names, cells, low, high }: Cells, panel: Panel, stretch: Stretch, font: string): EChartsCoreOption {
  const { label, x, tooltip, brush, common, size } = base(font);
  const times = [...new Set(cells.map(([at]) => at))].sort((a, b) => a - b);
  const width = times.slice(1).reduce((least, at, index) => Math.min(least, at - times[index]!), stretch.step * 1_000 || Infinity);
  const shades = { OK: colour('accent'), WARNING: colour('warning'), CRITICAL: colour('critical') };
  return {
    ...common,
    grid: { left: side(names, size), right: size * 1.2, top: size * 0.5, bottom: size * 2 },
    xAxis: x(stretch),
    yAxis: { type: 'category', data: names, inverse: true, axisLabel: { ...label, width: side(names, size) - size, overflow: 'truncate' }, axisTick: { show: false }, axisLine: { show: false } },
    brush,
    tooltip: {
      ...tooltip,
      formatter: (shown: unknown) => {
        const [at, index, value] = (shown as { value: [number, number, number | null] }).value;
        return told([['b', names[index] ?? ''], ['div', full(at)], ['div', value === null ? '–' : `${number(value)}${unit(panel.unit)}`]]);
      },
    },
    series: [
      {
        type: 'custom',
        clip: true,
        data: cells,
        encode: { x: 0, y: 1 },
        renderItem: (_: unknown, api: Api) => {
          const [at, index, value] = [Number(api.value(0)), Number(api.value(1)), Number(api.value(2))];
          const [left, middle] = api.coord([at, index]);
          const [right] = api.coord([at + width, index]);
          const height = Math.max(2, Math.min(40, api.size([0, 1])[1]! - 1));
          const share = high > low ? (value - low) / (high - low) : 0.5;
          const state = judged(value, panel) ?? 'OK';
          return { type: 'rect', shape: { x: left!, y: middle! - height / 2, width: Math.max(1, right! - left! - 0.5), height }, style: { fill: shades[state], opacity: state === 'OK' ? 0.12 + 0.78 * share : 0.9 } };
        },
      },
    ],
  };
}

export interface Lanes {
  names: string[];
  spans: [number, number, number, string][];
}

/** Runs of one state per name: each row holds until the next of its name, the last as long as the usual. */
export function lanes(rows: readonly Row[], to: number): Lanes | null {
  const columns = Object.keys(rows[0] ?? {});
  const time = columns.find((name) => rows.every((row) => typeof row[name] === 'string' && TIME.test(row[name])));
  if (!time || !columns.includes('state')) return null;
  const by = columns.find((name) => name !== time && name !== 'state' && rows.every((row) => typeof row[name] === 'string'));
  const groups = new Map<string, [number, string][]>();
  for (const row of rows) {
    const name = by ? String(row[by]) : '';
    const group = groups.get(name) ?? [];
    groups.set(name, group);
    group.push([Date.parse(String(row[time])), String(row.state)]);
  }
  const names = [...groups.keys()].sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).slice(0, ROWS_MAX);
  const spans: Lanes['spans'] = [];
  for (const [index, name] of names.entries()) {
    const group = groups.get(name)!.sort((a, b) => a[0] - b[0]);
    const gaps = group.slice(1).map(([at], i) => at - group[i]![0]).sort((a, b) => a - b);
    const usual = gaps[Math.floor(gaps.length / 2)] ?? 60_000;
    for (const [i, [at, state]] of group.entries()) {
      // Silence for long is not the state that was seen last.
      const until = Math.min(group[i + 1]?.[0] ?? at + usual, at + usual * 4, Math.max(to, at));
      const last = spans.at(-1);
      if (last && last[2] === index && last[3] === state && at - last[1] < usual / 2) last[1] = until;
      else spans.push([at, until, index, state]);
    }
  }
  return { names, spans };
}

export function timeline({ names, spans }: Lanes, stretch: Stretch, font: string): EChartsCoreOption {
  const { label, x, tooltip, brush, common, size } = base(font);
  const left = names.length > 1 || names[0] ? side(names, size) : size;
  const shade = new Map(Object.entries(TOKENS).map(([state, token]) => [state, colour(token)]));
  const [pending, ground] = [colour('pending'), colour('surface')];
  return {
    ...common,
    grid: { left, right: size * 1.2, top: size * 0.5, bottom: size * 2 },
    xAxis: x(stretch),
    yAxis: { type: 'category', data: names, inverse: true, axisLabel: { ...label, width: left - size, overflow: 'truncate' }, axisTick: { show: false }, axisLine: { show: false } },
    brush,
    tooltip: {
      ...tooltip,
      formatter: (shown: unknown) => {
        const [at, until, index, state] = (shown as { value: Lanes['spans'][number] }).value;
        return told([['b', `${names[index] ?? ''} ${TOKENS[state] ? word('state', state) : state}`], ['div', `${full(at)} – ${full(until)}`]]);
      },
    },
    series: [
      {
        type: 'custom',
        clip: true,
        data: spans,
        encode: { x: [0, 1], y: 2 },
        renderItem: (_: unknown, api: Api) => {
          const index = Number(api.value(2));
          const state = String(api.value(3));
          const [from, middle] = api.coord([Math.max(Number(api.value(0)), stretch.from), index]);
          const [to] = api.coord([Math.min(Number(api.value(1)), stretch.to), index]);
          const room = Math.min(22, Math.max(3, api.size([0, 1])[1]! * 0.72));
          // Height beside colour: OK is a low line, what is wrong stands up.
          const height = room * (state === 'OK' ? 0.35 : state === 'WARNING' ? 0.7 : 1);
          return { type: 'rect', shape: { x: from!, y: middle! + room / 2 - height, width: Math.max(1, to! - from!), height }, style: { fill: shade.get(state) ?? pending, stroke: ground, lineWidth: 0 } };
        },
      },
    ],
  };
}

/** Room for the names at the left, in pixels. */
function side(names: readonly string[], size: number): number {
  const longest = names.reduce((most, name) => Math.max(most, name.length), 1);
  return Math.min(size * 14, longest * size * 0.58 + size * 1.2);
}

/** A label of the chart for those who do not see it. */
export function heard(title: string, rows: readonly Row[]): string {
  return t('panel.chart', { title, n: rows.length });
}
