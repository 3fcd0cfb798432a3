-- title: Tickets that are not closed, the most urgent first when sorted by priority and opened_at
-- owner: service desk
-- column tenant: Whose ticket it is
-- column number: Number of the ticket within the tenant
-- column kind: incident, prediction or finding
-- column status: open, or resolved and waiting for a person to close it
-- column priority: 1 (highest) to 5
-- column title: One line for people
-- column check_id: The check that it is about
-- column assignee: Who works on it
-- column opened_at: When it was opened
-- column updated_at: When it last changed
-- column age_hours: Hours since it was opened
-- column ticket_key: Derived from what the ticket is about
-- column recorded: True when it is about a recording
select
    tenant,
    number,
    kind,
    status,
    priority,
    title,
    check_id,
    assignee,
    opened_at,
    updated_at,
    (date_part('epoch', now()) - date_part('epoch', opened_at)) / 3600 as age_hours,
    ticket_key,
    recorded
from tickets
where status <> 'closed'
