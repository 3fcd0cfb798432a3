-- title: Samples by the hour, for what looks back further than samples are kept
-- owner: kizashi
-- input: samples
-- output: table samples_hourly
-- time: slot
-- late: keep
-- column slot: Start of the hour
-- column samples: How many values there were
-- column value_sum: Their sum; divided by samples it is their mean
-- column value_min: The lowest
-- column value_max: The highest
--
-- One row per series and hour, put together from parts when it is read, so late samples are in it at once.
select tenant, check_id, metric, unit, date_trunc('hour', slot) as slot, recorded,
       count(*) as samples, sum(value) as value_sum, min(value) as value_min, max(value) as value_max
from samples
group by tenant, check_id, metric, unit, date_trunc('hour', slot), recorded
