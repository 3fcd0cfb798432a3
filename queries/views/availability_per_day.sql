-- title: Availability of every check per UTC day, with the share of the day that was monitored at all
-- owner: service level
-- column tenant: Whose check it is
-- column check_id: The check, within its tenant
-- column day: The UTC day
-- column ok_seconds: Time in state OK; each result answers for its interval
-- column warning_seconds: Time in state WARNING: degraded, but up
-- column critical_seconds: Time in state CRITICAL: down
-- column unknown_seconds: Time in state UNKNOWN: the check ran and could not tell
-- column availability_percent: OK and WARNING as a share of the time in which the state was known; nothing when it never was
-- column coverage_percent: Time in which the state was known as a share of the whole day; what is missing was not seen, and is not up
-- column results: Number of results
with results as (
    -- A slot counts once, whatever was recorded for it: what came last, and of two that came together the worse. One number
    -- holds both, the state in its two lowest bits, because the largest number is found at a third of the price.
    select
        tenant,
        check_id,
        day,
        slot,
        max(interval_ms) as interval_ms,
        max(4 * lateness_ms + case state when 'OK' then 0 when 'WARNING' then 1 when 'UNKNOWN' then 2 else 3 end) & 3 as state
    from check_results
    group by tenant, check_id, day, slot
),
seconds as (
    select
        tenant,
        check_id,
        day,
        coalesce(sum(interval_ms) filter (where state = 0), 0) / 1000.0 as ok_seconds,
        coalesce(sum(interval_ms) filter (where state = 1), 0) / 1000.0 as warning_seconds,
        coalesce(sum(interval_ms) filter (where state = 3), 0) / 1000.0 as critical_seconds,
        coalesce(sum(interval_ms) filter (where state = 2), 0) / 1000.0 as unknown_seconds,
        count(*) as results
    from results
    group by tenant, check_id, day
)
select
    tenant,
    check_id,
    day,
    ok_seconds,
    warning_seconds,
    critical_seconds,
    unknown_seconds,
    100 * (ok_seconds + warning_seconds) / nullif(ok_seconds + warning_seconds + critical_seconds, 0) as availability_percent,
    least(100 * (ok_seconds + warning_seconds + critical_seconds) / 86400, 100.0) as coverage_percent,
    results
from seconds
