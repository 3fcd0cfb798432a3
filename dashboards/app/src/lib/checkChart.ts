// The chart of one metric of one check: values, states, limit, expected band, predictions and tickets on one time axis.
import type { EChartsCoreOption } from 'echarts/core';
import type { Metric, Series } from '../api/series';
import { t, word } from './i18n.svelte';
import { colour, rem } from './theme.svelte';
import { full, short } from './time.svelte';
import { number } from './words';

const STATE_ROW_PX = 18;
const TOKENS: Record<string, string> = { OK: 'ok', WARNING: 'warning', CRITICAL: 'critical', UNKNOWN: 'unknown' };

interface Palette {
  text: string;
  dim: string;
  line: string;
  surface: string;
  accent: string;
  predicted: string;
  warning: string;
  critical: string;
  state: (name: string) => string;
}

function palette(): Palette {
  const state: Record<string, string> = {};
  for (const [name, token] of Object.entries(TOKENS)) state[name] = colour(token);
  return {
    text: colour('text'),
    dim: colour('dim'),
    line: colour('line'),
    surface: colour('raised'),
    accent: colour('accent'),
    predicted: colour('predicted'),
    warning: colour('warning'),
    critical: colour('critical'),
    state: (name) => state[name] ?? colour('pending'),
  };
}

export function option(series: Series, metric: Metric, from: number, to: number, font: string): EChartsCoreOption {
  const p = palette();
  const predictions = series.predictions.filter((one) => one.metric === metric.metric);
  const findings = series.findings.filter((one) => one.metric === metric.metric);
  // A prediction inside the stretch may point beyond its end: the axis goes on to show it.
  const ahead = predictions.map((one) => Math.min(Date.parse(one.expected_high), to + (to - from)));
  const end = Math.max(to, ...ahead);
  const size = rem() * 0.6875;
  const label = { color: p.dim, fontFamily: font, fontSize: size };
  const x = { type: 'time' as const, min: from, max: end };
  const lines = [
    ...(metric.limit === null ? [] : [{ yAxis: metric.limit, name: t('chart.limit'), lineStyle: { color: p.critical }, label: { position: 'insideStartTop' as const } }]),
    ...series.tickets.map((ticket) => ({
      xAxis: Date.parse(ticket.opened_at),
      name: `#${ticket.number}`,
      lineStyle: { color: p.dim, type: 'solid' as const, width: 1 },
    })),
  ];
  return {
    animation: false,
    textStyle: { fontFamily: font },
    grid: [
      { left: size * 5, right: size * 2, top: size * 2.5, bottom: size * 3.2 + STATE_ROW_PX },
      { left: size * 5, right: size * 2, height: STATE_ROW_PX, bottom: 10 },
    ],
    xAxis: [
      { ...x, gridIndex: 0, axisLine: { lineStyle: { color: p.line } }, axisTick: { show: false }, axisLabel: { ...label, hideOverlap: true, formatter: (at: number) => short(at) }, splitLine: { show: false }, axisPointer: { lineStyle: { color: p.dim } } },
      { ...x, gridIndex: 1, show: false },
    ],
    yAxis: [
      { type: 'value', gridIndex: 0, scale: true, max: (range: { max: number }) => reach(range.max, metric.limit), axisLabel: { ...label, formatter: (value: number) => number(value) }, splitLine: { lineStyle: { color: p.line } }, name: metric.unit === '1' ? '' : metric.unit, nameTextStyle: { ...label, align: 'right' } },
      { type: 'value', gridIndex: 1, min: 0, max: 1, show: false },
    ],
    dataZoom: [{ type: 'inside', xAxisIndex: [0, 1], filterMode: 'none', zoomOnMouseWheel: 'ctrl', moveOnMouseWheel: false }],
    brush: { xAxisIndex: 0, brushStyle: { color: p.accent, opacity: 0.15, borderWidth: 0 }, transformable: false },
    toolbox: { show: false },
    tooltip: { trigger: 'axis', renderMode: 'html', appendTo: 'body', className: 'chart-tip', backgroundColor: p.surface, borderColor: p.line, textStyle: { color: p.text, fontSize: rem() * 0.75 }, formatter: (shown: unknown) => tip(shown as Shown[], series, metric) },
    series: [
      { type: 'line', data: metric.points.map((point) => [point.at, point.low]), stack: 'band', stackStrategy: 'all', symbol: 'none', silent: true, lineStyle: { opacity: 0 }, tooltip: { show: false } },
      { type: 'line', data: metric.points.map((point) => [point.at, point.high - point.low]), stack: 'band', stackStrategy: 'all', symbol: 'none', silent: true, lineStyle: { opacity: 0 }, areaStyle: { color: p.accent, opacity: 0.16 }, tooltip: { show: false } },
      {
        id: 'value',
        type: 'line',
        data: metric.points.map((point) => [point.at, point.value]),
        symbol: metric.points.length < 3 ? 'circle' : 'none',
        symbolSize: 5,
        lineStyle: { color: p.accent, width: 1.6 },
        itemStyle: { color: p.accent },
        markLine: { silent: true, symbol: 'none', animation: false, lineStyle: { type: 'dashed', width: 1 }, label: { formatter: '{b}', position: 'end', rotate: 0, distance: 4, color: p.dim, fontSize: size }, data: lines },
      },
      // What was to be expected where a detector fired: a bar from the low to the high end, and the value that was outside.
      {
        type: 'custom',
        silent: true,
        data: findings.map((one) => [Date.parse(one.slot), one.expected_low, one.expected_high]),
        renderItem: (_: unknown, api: Api) => {
          const [left, low] = api.coord([api.value(0), api.value(1)]);
          const [, high] = api.coord([api.value(0), api.value(2)]);
          return { type: 'rect', shape: { x: left! - 3, y: high!, width: 6, height: Math.max(2, low! - high!) }, style: { fill: p.warning, opacity: 0.35 } };
        },
        tooltip: { show: false },
      },
      { type: 'scatter', data: findings.map((one) => [Date.parse(one.slot), one.value]), symbol: 'triangle', symbolSize: 9, itemStyle: { color: p.warning }, tooltip: { show: false } },
      // Each prediction: from the value it was made at to the limit at its expected time, with the band of its error.
      ...predictions.flatMap((one) => [
        { type: 'line', symbol: 'none', data: [[Date.parse(one.made_at), one.value], [Date.parse(one.expected_at), one.limit_value]], lineStyle: { color: p.predicted, width: 1.6, type: [6, 4] }, tooltip: { show: false } },
        { type: 'line', symbol: 'none', data: [[Date.parse(one.expected_low), one.limit_value], [Date.parse(one.expected_high), one.limit_value]], lineStyle: { color: p.predicted, width: 5, opacity: 0.5 }, tooltip: { show: false } },
        { type: 'scatter', symbol: 'emptyCircle', symbolSize: 7, data: [[Date.parse(one.made_at), one.value]], itemStyle: { color: p.predicted }, tooltip: { show: false } },
      ]),
      {
        type: 'custom',
        xAxisIndex: 1,
        yAxisIndex: 1,
        data: series.states.map((span) => [span.at, span.until, span.state]),
        renderItem: (_: unknown, api: Api) => {
          const [left, bottom] = api.coord([Math.max(from, Number(api.value(0))), 0]);
          const [right, top] = api.coord([Math.min(end, Number(api.value(1))), 1]);
          const state = String(api.value(2));
          // Height beside colour: OK is a low line, what is wrong stands up.
          const share = state === 'OK' ? 0.25 : state === 'WARNING' ? 0.6 : 1;
          const height = (bottom! - top!) * share;
          return { type: 'rect', shape: { x: left!, y: bottom! - height, width: Math.max(1, right! - left!), height }, style: { fill: p.state(state) } };
        },
        tooltip: { show: false },
      },
    ],
  };
}

interface Api {
  value(index: number): number | string;
  coord(at: (number | string)[]): number[];
}
interface Shown {
  seriesId: string;
  axisValue: number;
  value: [number, number];
}

/** The limit belongs on the chart when the values are anywhere near it. */
function reach(max: number, limit: number | null): number | undefined {
  return limit !== null && max < limit && max > limit * 0.5 ? limit * 1.02 : undefined;
}

/** A node rather than HTML text: inline styles in text would be refused by the page's own policy. */
function tip(shown: Shown[], series: Series, metric: Metric): HTMLElement {
  const box = document.createElement('div');
  const add = (name: string, text: string) => {
    const part = document.createElement(name);
    part.textContent = text;
    box.append(part);
  };
  const value = shown.find((one) => one.seriesId === 'value');
  const at = value?.value[0] ?? shown[0]?.axisValue;
  if (at === undefined) return box;
  add('div', full(at));
  const point = value && metric.points.find((one) => one.at === at);
  if (point) {
    const range = point.low === point.high ? '' : ` (${number(point.low)} – ${number(point.high)})`;
    add('b', `${number(point.value)}${range} ${metric.unit === '1' ? '' : metric.unit}`);
  }
  const state = series.states.find((span) => span.at <= at && at < span.until);
  if (state) add('div', word('state', state.state));
  return box;
}
