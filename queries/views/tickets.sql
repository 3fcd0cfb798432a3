-- title: Every ticket as it stands now
-- owner: service desk
-- column tenant: Whose ticket it is
-- column number: Number of the ticket within the tenant
-- column ticket_key: Derived from what the ticket is about: one problem, one ticket
-- column kind: incident, prediction or finding
-- column status: open, resolved or closed
-- column title: One line for people
-- column check_id: The check that it is about
-- column priority: 1 (highest) to 5
-- column assignee: Who works on it
-- column opened_at: When it was opened
-- column updated_at: When it last changed
-- column changes: Number of events in its history
-- column closure_code: Why it was closed
-- column recorded: True when it is about a recording
select
    tenant,
    number,
    ticket_key,
    kind,
    status,
    title,
    check_id,
    priority,
    assignee,
    opened_at,
    at as updated_at,
    sequence as changes,
    closure_code,
    recorded
from (
    select *, row_number() over (partition by tenant, ticket_key order by sequence desc) as newest
    from ticket_events
)
where newest = 1
