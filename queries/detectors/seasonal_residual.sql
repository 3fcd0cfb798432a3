-- title: Unusual for the time of day
-- owner: operations
-- kind: detector
-- lookback: 28d
-- quiet: 24h
-- every: 5m
-- severity: WARNING
-- runbook: Compare with the same hours of last week. Ask what changed: a release, a job, a customer, a neighbour.
--
-- Any metric. seasonal_residual() compares the values of the last half hour with those seen at the same time on earlier
-- days; see analytics/foresight/src/seasonal.rs. It fires at six robust standard deviations, by every value of the half
-- hour and to one side. Iglewicz and Hoaglin (1993) call a single point of a small sample an outlier at 3.5; for many
-- points Davies and Gather (1993, "The Identification of Multiple Outliers", JASA 88) choose the threshold z for N points
-- such that 1 - (1 - p)^N stays below a given chance: N = 5.3 million (50 series, every 5 minutes, for a year) and 1 %
-- give z = 6.0. A metric that hardly ever varies is allowed some play: 5 % of its level, or 2 points of a percentage.
WITH context AS (
  SELECT check_id, metric, slot, value, unit, recorded
  FROM samples
  WHERE slot > $from - INTERVAL '28 days' AND slot <= $to AND unit <> 'd'
    -- Only what the function looks at: the last day, and the same time of day (with its half hour) before that.
    AND (slot > $from - INTERVAL '24 hours'
         OR (date_part('epoch', $to) + 1800 - date_part('epoch', slot)) % 86400
            <= date_part('epoch', $to) - date_part('epoch', $from) + 3600)
), judged AS (
  SELECT check_id, metric, slot, value, unit, recorded,
         seasonal_residual(slot, value, INTERVAL '28 days', INTERVAL '30 minutes', slot > $from)
           OVER (PARTITION BY check_id, metric ORDER BY slot) AS r
  FROM context
), scored AS (
  SELECT check_id, metric, slot, value, unit, recorded, r['expected'] AS expected, r['deviation'] AS deviation,
         r['basis'] AS basis, r['seasons'] AS seasons,
         greatest(r['sigma'], CASE WHEN unit = '%' THEN 2.0 ELSE 0.05 * abs(r['expected']) END, 1e-9) AS sigma
  FROM judged
  WHERE slot > $from
)
SELECT check_id, metric, slot, value, recorded,
       expected - 6 * sigma AS expected_low,
       expected + 6 * sigma AS expected_high,
       least(abs(deviation) / sigma, 1e6) AS score,
       coalesce(abs(deviation) >= 6 * sigma, false) AS fired,
       metric || ' is at ' || round(value, 2) || CASE unit WHEN '1' THEN '' ELSE ' ' || unit END || '; expected was ' || round(expected, 2) || ', give or take '
         || round(6 * sigma, 2) || ', by '
         || CASE basis WHEN 'level' THEN 'the level of the last 24 hours'
                       WHEN 'week' THEN 'the same hour of ' || seasons || ' earlier weeks'
                       ELSE 'the same hour of ' || seasons || ' earlier days' END
         || '; it has been off by ' || round(abs(deviation) / sigma, 1) || ' robust standard deviations for half an hour' AS summary
FROM scored
