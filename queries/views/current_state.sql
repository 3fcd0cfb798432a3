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
with latest as (
    select
        tenant,
        check_id,
        max(slot) as slot,
        last_value(kind order by slot) as kind,
        last_value(state order by slot) as state,
        last_value(output order by slot) as output,
        last_value(lateness_ms order by slot) as lateness_ms,
        last_value(interval_ms order by slot) as interval_ms,
        last_value(recorded order by slot) as recorded
    from check_results
    group by tenant, check_id
),
-- The newest result in another state than the present one.
before as (
    select r.tenant, r.check_id, max(r.slot) as slot
    from check_results r
    join latest l on l.tenant = r.tenant and l.check_id = r.check_id
    where r.state <> l.state
    group by r.tenant, r.check_id
),
run as (
    select r.tenant, r.check_id, min(r.slot) as since
    from check_results r
    left join before b on b.tenant = r.tenant and b.check_id = r.check_id
    where b.slot is null or r.slot > b.slot
    group by r.tenant, r.check_id
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
        from latest
    )
),
retired as (
    select tenant, check_id, max(at) as at
    from check_retirements
    group by tenant, check_id
),
measured as (
    select s.tenant, s.check_id, count(*) as metrics
    from samples s
    join latest l on l.tenant = s.tenant and l.check_id = s.check_id and l.slot = s.slot
    group by s.tenant, s.check_id
)
select
    l.tenant,
    l.check_id,
    l.kind,
    case when l.stale then 'UNKNOWN' else l.state end as state,
    l.state as last_state,
    case when l.stale and l.state <> 'UNKNOWN' then l.overdue_at else r.since end as since,
    l.slot,
    l.stale,
    l.output,
    coalesce(m.metrics, 0) as metrics,
    l.interval_ms,
    l.recorded
from judged l
join run r on r.tenant = l.tenant and r.check_id = l.check_id
left join measured m on m.tenant = l.tenant and m.check_id = l.check_id
left join retired t on t.tenant = l.tenant and t.check_id = l.check_id
-- A run that started after the retirement is of a check that was added again. A recording is not configured anyway.
where t.at is null or l.recorded or cast(l.slot as bigint) + l.lateness_ms * 1000 > cast(t.at as bigint)
