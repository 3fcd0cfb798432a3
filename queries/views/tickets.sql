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
    e.tenant,
    e.number,
    e.ticket_key,
    e.kind,
    e.status,
    e.title,
    e.check_id,
    e.priority,
    e.assignee,
    e.opened_at,
    e.at as updated_at,
    e.sequence as changes,
    e.closure_code,
    e.recorded
from (
    select tenant, ticket_key, max(sequence) as sequence
    from ticket_events
    group by tenant, ticket_key
) newest
join ticket_events e on e.sequence = newest.sequence and e.ticket_key = newest.ticket_key and e.tenant = newest.tenant
