-- title: Certificate will expire
-- owner: operations
-- kind: prediction
-- lookback: 2d
-- horizon: 31d
-- quiet: 2d
-- every: 10m
-- severity: WARNING
-- runbook: Renew the certificate and reload the service; then look why the automatic renewal did not do it.
--
-- Every metric in days that runs down to a limit. Its trend needs no estimate: a day a day. The error band is the rounding
-- of whole days, half a day to either side. It fires when less than the time to act is left: 30 days.
SELECT check_id, metric, slot, value, limit_value, recorded,
       to_timestamp_seconds(date_part('epoch', slot) + 86400 * days_left) AS expected_at,
       to_timestamp_seconds(date_part('epoch', slot) + 86400 * greatest(days_left - 0.5, 0)) AS expected_low,
       to_timestamp_seconds(date_part('epoch', slot) + 86400 * (days_left + 0.5)) AS expected_high,
       value > limit_value AND days_left <= 30 AS fired,
       'the certificate of ' || check_id || ' expires in ' || round(value, 1) || ' days' AS summary
FROM (
  SELECT check_id, metric, slot, value, limit_value, recorded, least(greatest(value - limit_value, 0.0), 3650.0) AS days_left
  FROM samples
  WHERE slot > $from AND slot <= $to AND unit = 'd' AND limit_value IS NOT NULL
)
