-- title: Records that could not be taken in, and what was decided of each
-- owner: pipeline
-- column reject_id: Topic, partition and offset of the record, between slashes
-- column tenant: The tenant that the headers declare, if that is a valid one
-- column topic: Topic of the record
-- column received_at: When the relay received it
-- column status: open, retried or dropped
-- column reason: Why it was rejected
-- column decided_at: When it was sent again or dropped
-- column decided_by: Who did that
-- column comment: Why
-- column headers: Its headers, as a JSON object
-- column payload: Its value, cut at 1 MiB
-- column payload_bytes: Length of its value before the cut
with all_rejects as (
    select *, topic || '/' || cast(partition as varchar) || '/' || cast("offset" as varchar) as reject_id
    from rejects
)
select
    r.reject_id,
    r.tenant,
    r.topic,
    r.received_at,
    coalesce(d.action, 'open') as status,
    r.reason,
    d.at as decided_at,
    d.actor as decided_by,
    d.comment,
    r.headers,
    r.payload,
    r.payload_bytes
from all_rejects r
left join reject_decisions d on d.reject_id = r.reject_id
