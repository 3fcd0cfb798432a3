import { expect, test } from 'vitest';
import { steps } from './plan';

const TEXT = `SortPreservingMergeExec: [slot@0 ASC NULLS LAST], metrics=[output_rows=12, elapsed_compute=1.5ms]
  SortExec: expr=[slot@0 ASC NULLS LAST], preserve_partitioning=[true], metrics=[output_rows=12, elapsed_compute=2.25µs, spill_count=0]
    DataSourceExec: file_groups={1 group}, metrics=[output_rows=1.5 K, elapsed_compute=1ns, time_elapsed_processing=3s]
`;

test('a plan that was run has its operators with depth, rows and time', () => {
  const found = steps(TEXT);
  expect(found.map(({ name, depth }) => [name, depth])).toEqual([['SortPreservingMerge', 0], ['Sort', 1], ['DataSource', 2]]);
  expect(found.map(({ rows }) => rows)).toEqual([12, 12, 1500]);
  expect(found[0]!.ms).toBe(1.5);
  expect(found[2]!.ms).toBe(3000);
  expect(found[1]!.about).toBe('expr=[slot@0 ASC NULLS LAST], preserve_partitioning=[true]');
});

test('a plan that was not run has no figures, and other text is no plan', () => {
  expect(steps('ProjectionExec: expr=[1 as one]\n  PlaceholderRowExec')).toEqual([
    { name: 'Projection', about: 'expr=[1 as one]', ms: null, rows: null, depth: 0 },
    { name: 'PlaceholderRow', about: '', ms: null, rows: null, depth: 1 },
  ]);
  expect(steps('hello')).toEqual([]);
});
