-- title: Records that could not be taken in, counted by reason
-- owner: pipeline
-- column tenant: The tenant that the headers declare, if that is a valid one
-- column topic: Topic of the records
-- column reason: Why they were rejected
-- column rejects: Number of records
-- column payload_bytes: Length of their values together
-- column first_at: When the relay received the first
-- column last_at: When the relay received the last
select
    tenant,
    topic,
    reason,
    count(*) as rejects,
    sum(payload_bytes) as payload_bytes,
    min(received_at) as first_at,
    max(received_at) as last_at
from rejects
group by tenant, topic, reason
