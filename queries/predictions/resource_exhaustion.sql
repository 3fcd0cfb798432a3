-- title: Resource will be exhausted
-- owner: operations
-- kind: prediction
-- lookback: 2d
-- horizon: 24h
-- quiet: 1h
-- every: 30s
-- severity: CRITICAL
-- runbook: Find what grows (disk: du -x, journal and log sizes, core dumps; memory: processes by resident size). Free space or stop the grower, then find out why it grew.
--
-- Disks, inodes, memory: every metric with a limit, except remaining time (see certificate_expiry.sql).
-- exhaustion() gives the robust trend towards the limit since the last relief; see analytics/foresight/src/exhaustion.rs.
-- It fires when
--   * the limit is expected within the time to act: 24 hours;
--   * the whole error band of the slope points to the limit (expected_high is there);
--   * the trend has lasted as long as it is extrapolated: what was used up is at least what is left.
-- So two days of history are enough: a trend that needs more is more than 24 hours from the limit, and a daily clean-up shows.
WITH trend AS (
  SELECT check_id, metric, slot, value, unit, limit_value, recorded,
         exhaustion(slot, value, limit_value, INTERVAL '2 days', slot > $from)
           OVER (PARTITION BY check_id, metric ORDER BY slot) AS t
  FROM samples
  WHERE slot > $from - INTERVAL '2 days' AND slot <= $to
    AND limit_value IS NOT NULL AND unit <> 'd'
), flat AS (
  SELECT check_id, metric, slot, value, unit, limit_value, recorded,
         t['expected_at'] AS expected_at, t['expected_low'] AS expected_low, t['expected_high'] AS expected_high,
         t['slope_per_hour'] AS slope_per_hour, t['remaining'] AS remaining, t['rise'] AS rise,
         t['span_hours'] AS span_hours, t['points'] AS points
  FROM trend
  WHERE slot > $from
)
SELECT check_id, metric, slot, value, limit_value, recorded, expected_at, expected_low, expected_high,
       coalesce(expected_at <= slot + INTERVAL '24 hours' AND expected_high IS NOT NULL AND rise >= remaining, false) AS fired,
       metric || ' is at ' || round(value, 1) || CASE unit WHEN '1' THEN '' ELSE ' ' || unit END || ' and nears ' || round(limit_value, 1)
         || ' by ' || round(slope_per_hour, 2) || ' an hour over the last '
         || CASE WHEN span_hours < 2 THEN round(span_hours * 60) || ' minutes' ELSE round(span_hours, 1) || ' hours' END
         || ' (' || points || ' values); at that pace the limit is reached between '
         || to_char(expected_low, '%Y-%m-%d %H:%M') || ' and ' || to_char(expected_high, '%Y-%m-%d %H:%M') || ' UTC' AS summary
FROM flat
