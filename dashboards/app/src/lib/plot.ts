// A result as lines over time.
import type { EChartsCoreOption } from 'echarts/core';
import type { Row } from '../api/sql';
import { type Shape, lines } from './shape';
import { colour, rem } from './theme.svelte';
import { short } from './time.svelte';
import { number } from './words';

const SHADES = ['accent', 'warning', 'ok', 'unknown', 'critical', 'predicted'];
const DASHES: ('solid' | number[])[] = ['solid', [6, 3], [2, 3]];

export function plot(rows: readonly Row[], shape: Shape, font: string): EChartsCoreOption {
  const dim = colour('dim');
  const rule = colour('line');
  const size = rem() * 0.6875;
  const label = { color: dim, fontFamily: font, fontSize: size };
  return {
    animation: false,
    textStyle: { fontFamily: font },
    grid: { left: size * 5, right: size * 13, top: 16, bottom: size * 3 },
    xAxis: { type: 'time', axisLabel: { ...label, hideOverlap: true, formatter: (at: number) => short(at) }, axisLine: { lineStyle: { color: rule } }, splitLine: { show: false } },
    yAxis: { type: 'value', scale: true, axisLabel: { ...label, formatter: (value: number) => number(value) }, splitLine: { lineStyle: { color: rule } } },
    dataZoom: [{ type: 'inside', filterMode: 'none' }],
    series: [...lines(rows, shape)].map(([name, data], index) => {
      const shade = colour(SHADES[index % SHADES.length]!);
      const type = DASHES[Math.floor(index / SHADES.length) % DASHES.length];
      return { type: 'line', name, data, symbol: 'none', lineStyle: { color: shade, width: 1.6, type }, itemStyle: { color: shade }, endLabel: { show: true, formatter: name, color: shade, fontSize: size } };
    }),
  };
}
