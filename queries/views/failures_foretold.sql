-- title: Failures of checks whose resource has a limit, and whether a prediction stood when they came
-- owner: foresight
-- column tenant: Whose check it is
-- column check_id: The check, within its tenant
-- column problem_id: The problem that became CRITICAL
-- column failed_at: When it became CRITICAL
-- column output: What the check said
-- column foretold: True when a prediction for the check had been made before and its deadline had not passed
-- column predictor: File in queries/predictions of the first such prediction
-- column prediction_id: The first such prediction
-- column made_at: When it was made
-- column lead_hours: Hours from made_at to failed_at
-- column recorded: True for recordings
with failures as (
    select
        tenant,
        check_id,
        problem_id,
        min(at) as failed_at,
        first_value(output order by at) as output,
        bool_or(recorded) as recorded
    from problems
    where state = 'CRITICAL' and phase in ('opened', 'changed')
    group by tenant, check_id, problem_id
),
-- Only what has a limit can be foretold by a predictor of limits.
limited as (
    select s.tenant, s.check_id
    from samples s
    join (select distinct tenant, check_id from failures) f on f.tenant = s.tenant and f.check_id = s.check_id
    where s.limit_value is not null
    group by s.tenant, s.check_id
),
standing as (
    select
        f.tenant,
        f.problem_id,
        min(p.made_at) as made_at,
        first_value(p.predictor order by p.made_at) as predictor,
        first_value(p.prediction_id order by p.made_at) as prediction_id
    from failures f
    join predictions p on p.tenant = f.tenant and p.check_id = f.check_id
    where p.phase = 'made' and p.made_at < f.failed_at and p.deadline >= f.failed_at
    group by f.tenant, f.problem_id
)
select
    f.tenant,
    f.check_id,
    f.problem_id,
    f.failed_at,
    f.output,
    s.prediction_id is not null as foretold,
    s.predictor,
    s.prediction_id,
    s.made_at,
    (date_part('epoch', f.failed_at) - date_part('epoch', s.made_at)) / 3600 as lead_hours,
    f.recorded
from failures f
join limited l on l.tenant = f.tenant and l.check_id = f.check_id
left join standing s on s.tenant = f.tenant and s.problem_id = f.problem_id
