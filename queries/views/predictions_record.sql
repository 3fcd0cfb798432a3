-- title: What was predicted, and what came of it
-- owner: foresight
-- column tenant: Whose row it is
-- column check_id: The check, within its tenant
-- column metric: The metric that was to reach its limit
-- column prediction_id: Derived from series, predictor and the start of the episode
-- column predictor: File in queries/predictions
-- column model_version: Hash of the predictor's SQL
-- column data_version: Version of the samples table that was read
-- column made_at: Slot of the newest row that it rests on
-- column expected_at: When the limit was expected to be reached
-- column deadline: When it is scored at the latest
-- column ahead_hours: Hours from made_at to expected_at
-- column probability: Stated probability, where the method has one
-- column outcome: hit, miss, prevented or void; open while it is not scored
-- column outcome_reason: What the score rests on
-- column scored_at: When it was scored
-- column lead_hours: For a hit, hours from made_at to the score: how long there was to act
-- column summary: Why it fired, in words
-- column recorded: True for recordings
with made as (
    select * from predictions where phase = 'made'
),
scored as (
    select tenant, prediction_id, outcome, outcome_reason, scored_at from predictions where phase = 'scored'
)
select
    m.tenant,
    m.check_id,
    m.metric,
    m.prediction_id,
    m.predictor,
    m.model_version,
    m.data_version,
    m.made_at,
    m.expected_at,
    m.deadline,
    (date_part('epoch', m.expected_at) - date_part('epoch', m.made_at)) / 3600 as ahead_hours,
    m.probability,
    coalesce(s.outcome, 'open') as outcome,
    s.outcome_reason,
    s.scored_at,
    case when s.outcome = 'hit' then (date_part('epoch', s.scored_at) - date_part('epoch', m.made_at)) / 3600 end as lead_hours,
    m.summary,
    m.recorded
from made m
left join scored s on s.tenant = m.tenant and s.prediction_id = m.prediction_id
