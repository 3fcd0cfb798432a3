"""Uses the generated client as a program would: use.py URL TOKEN."""

import sys

from client import AuthenticatedClient
from client.api.checks import checks_list, checks_read
from client.api.sql import sql_post
from client.api.tickets import tickets_close, tickets_comment, tickets_list, tickets_read
from client.models import Close, ClosureCode, Comment, Problem, State, Statement
from client.models import TicketStatus

url, token = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True)

checks = checks_list.sync(client=client)
assert {check.check_id for check in checks.items} == {"web:shop", "load"}, checks
# An id with a slash would have a tilde here; these have none.
shop = checks_read.sync("default", "web:shop", client=client)
assert shop.current.state == State.CRITICAL, shop
nothing = checks_read.sync("default", "no-such-check", client=client)
assert isinstance(nothing, Problem) and nothing.status == 404, nothing
print(f"ok    {len(checks.items)} checks; {shop.check_id} is {shop.current.state.value}")

number = tickets_list.sync(client=client).items[0].number
said = Comment(comment="今から見ます <b>now</b>", actor="lane")
tickets_comment.sync("default", number, client=client, body=said)
closing = Close(code=ClosureCode.FALSE_ALARM, comment="A lane", actor="lane")
# Sent twice under one key, it is done once.
for _ in range(2):
    closed = tickets_close.sync("default", number, client=client, body=closing, idempotency_key="the-lane-closes")
    assert closed.status == TicketStatus.CLOSED, closed
again = tickets_close.sync("default", number, client=client, body=closing)
assert isinstance(again, Problem) and again.type_ == "urn:kizashi:problem:ticket-conflict", again
history = tickets_read.sync("default", number, client=client).history
assert [one.comment for one in history if one.actor == "lane"] == [said.comment, "A lane"], history
print(f"ok    ticket {number} was commented on and closed, once")

statement = Statement.from_dict({"sql": "select 40 + 2 as answer, 'x' as text", "format": "json"})
rows = sql_post.sync(client=client, body=statement)
assert rows == [{"answer": 42, "text": "x"}], rows
wrong = sql_post.sync(client=client, body=Statement.from_dict({"sql": "select nothing from nowhere"}))
assert isinstance(wrong, Problem) and wrong.status == 400, wrong
print("ok    SQL runs, and a wrong statement is a problem with a type")
