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
    newest.tenant,
    newest.check_id,
    newest.metric,
    newest.slot,
    last_value(s.value) as value,
    last_value(s.unit) as unit,
    last_value(s.limit_value) as limit_value,
    newest.values_stored,
    last_value(s.recorded) as recorded
from (
    select tenant, check_id, metric, max(slot) as slot, count(*) as values_stored
    from samples
    group by tenant, check_id, metric
) newest
-- The other values are looked up by the slot: its bounds leave most of the table unread.
join samples s on s.slot = newest.slot and s.check_id = newest.check_id and s.metric = newest.metric and s.tenant = newest.tenant
group by newest.tenant, newest.check_id, newest.metric, newest.slot, newest.values_stored
