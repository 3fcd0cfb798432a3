-- title: The newest result of every check that is configured, and of every recording
-- owner: monitoring
-- column tenant: Whose check it is
-- column check_id: The check, within its tenant
-- column kind: Kind of the check
-- column state: OK, WARNING, CRITICAL or UNKNOWN; UNKNOWN when stale, because missing data is never good news
-- column last_state: What the newest result said, as of slot
-- column since: Slot of the first result of the present state; for a stale check, when it became stale
-- column slot: Slot of the newest result
-- column stale: True when no result came for two intervals and 15 seconds; never for recordings and checks without a schedule
-- column output: What the newest result says
-- column metrics: Number of metrics that came with the newest result
-- column interval_ms: Interval of the check; 0 when it has no schedule
-- column recorded: True for recordings
-- One pass over all results with two cheap figures; what else the newest result says is then looked up by its slot.
with per_state as (
    select tenant, check_id, state, max(slot) as slot, min(slot) as first_slot
    from check_results
    group by tenant, check_id, state
),
-- A run that another state interrupted starts where `run` finds it; with its only result, if both came for one slot.
latest as (
    select *, case when first_slot < before then slot else first_slot end as run_start
    from (
        select
            *,
            row_number() over (partition by tenant, check_id order by slot desc, state) as newest,
            lead(slot) over (partition by tenant, check_id order by slot desc, state) as before
        from per_state
    )
    where newest = 1
),
-- Only where another state came in between is there anything to look up.
run as (
    select l.tenant, l.check_id, min(r.slot) as since
    from latest l
    join check_results r on r.tenant = l.tenant and r.check_id = l.check_id
    where l.first_slot < l.before and r.slot > l.before
    group by l.tenant, l.check_id
),
-- A slot may have been recorded twice: what came later counts.
said as (
    select
        l.tenant,
        l.check_id,
        l.state,
        l.slot,
        l.run_start,
        last_value(r.kind order by r.lateness_ms) as kind,
        last_value(r.output order by r.lateness_ms) as output,
        max(r.lateness_ms) as lateness_ms,
        last_value(r.interval_ms order by r.lateness_ms) as interval_ms,
        last_value(r.recorded order by r.lateness_ms) as recorded
    from latest l
    join check_results r on r.slot = l.slot and r.check_id = l.check_id and r.tenant = l.tenant and r.state = l.state
    group by l.tenant, l.check_id, l.state, l.slot, l.run_start
),
measured as (
    select l.tenant, l.check_id, l.state, l.slot, l.run_start, l.kind, l.output, l.lateness_ms, l.interval_ms, l.recorded, count(s.metric) as metrics
    from said l
    left join samples s on s.slot = l.slot and s.check_id = l.check_id and s.tenant = l.tenant
    group by l.tenant, l.check_id, l.state, l.slot, l.run_start, l.kind, l.output, l.lateness_ms, l.interval_ms, l.recorded
),
-- The monitor's rule: silence is borne for two intervals and 15 seconds.
judged as (
    select
        *,
        not recorded and interval_ms > 0 and now() >= overdue_at as stale
    from (
        select
            *,
            arrow_cast(cast(slot as bigint) + (2 * interval_ms + 15000) * 1000, 'Timestamp(Microsecond, Some("UTC"))') as overdue_at
        from measured
    )
),
retired as (
    select tenant, check_id, max(at) as at
    from check_retirements
    group by tenant, check_id
)
select
    l.tenant,
    l.check_id,
    l.kind,
    case when l.stale then 'UNKNOWN' else l.state end as state,
    l.state as last_state,
    case when l.stale and l.state <> 'UNKNOWN' then l.overdue_at else coalesce(r.since, l.run_start) end as since,
    l.slot,
    l.stale,
    l.output,
    l.metrics,
    l.interval_ms,
    l.recorded
from judged l
left join run r on r.tenant = l.tenant and r.check_id = l.check_id
left join retired t on t.tenant = l.tenant and t.check_id = l.check_id
-- A run that started after the retirement is of a check that was added again. A recording is not configured anyway.
where t.at is null or l.recorded or cast(l.slot as bigint) + l.lateness_ms * 1000 > cast(t.at as bigint)
