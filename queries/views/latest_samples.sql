-- title: The newest value of every metric
-- owner: monitoring
-- column tenant: Whose row it is
-- column check_id: The check, within its tenant
-- column metric: Name of the metric
-- column slot: Slot of the newest value
-- column value: The newest value
-- column unit: Its unit
-- column limit_value: The value at which the resource is exhausted, where there is one
-- column values_stored: Number of values that are stored
-- column recorded: True for recordings
select
    tenant,
    check_id,
    metric,
    max(slot) as slot,
    last_value(value order by slot) as value,
    last_value(unit order by slot) as unit,
    last_value(limit_value order by slot) as limit_value,
    count(*) as values_stored,
    last_value(recorded order by slot) as recorded
from samples
group by tenant, check_id, metric
