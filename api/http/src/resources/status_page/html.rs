//! The status page as HTML. Every value passes [`Text`], which escapes it.

use std::fmt::Display;

use kizashi_desk::Ticket;

use super::overview::{Checks, Overview, ROWS_MAX};
use super::words::{Lang, Words};
use crate::Component;
use crate::escape::Text;
use crate::resources::checks::Check;
use crate::resources::predictions::Prediction;
use crate::time::Time;

/// The form that signs in. Tells nothing but whether the server is ready.
pub fn enter(lang: Lang, ready: bool, wrong: Option<&str>) -> String {
    let w = lang.words();
    let readiness = if ready { w.ready } else { w.not_ready };
    let wrong = wrong.map_or(String::new(), |why| format!(r#"<p class="error" role="alert">{why}</p>"#));
    let body = format!(
        r#"<p>{readiness}</p>{wrong}
<form method="post" action="?lang={code}">
<label>{name} <input name="name" autocomplete="username" autocapitalize="none" required autofocus></label>
<label>{password} <input type="password" name="password" autocomplete="current-password" required></label>
<button type="submit">{enter}</button>
</form>
<p class="note">{where_password}</p>"#,
        code = w.code,
        name = w.name,
        password = w.password,
        enter = w.enter,
        where_password = w.where_password,
    );
    document(w, "", &body)
}

/// The page itself.
pub fn status(lang: Lang, o: &Overview) -> String {
    let w = lang.words();
    let tenant = o.tenant.as_ref().map_or(w.all_tenants, |tenant| tenant.as_str());
    let body = format!(
        r#"<p>{as_of} <time datetime="{iso}">{now}</time> · {tenant} · {readiness}</p>
{components}{checks}{tickets}{predictions}
<footer><form method="post" action="status/leave?lang={code}"><button type="submit">{leave}</button></form></footer>"#,
        as_of = w.as_of,
        iso = o.now.0,
        now = o.now,
        tenant = Text(tenant),
        readiness = if o.ready { w.ready } else { w.not_ready },
        components = section(w.components, &components(w, &o.components)),
        checks = part(w, w.checks, &o.checks, checks),
        tickets = part(w, w.tickets, &o.tickets, |w, rows| tickets(w, rows)),
        predictions = part(w, w.predictions, &o.predictions, |w, rows| predictions(w, rows)),
        code = w.code,
        leave = w.leave,
    );
    let tenant = o.tenant.as_ref().map_or(String::new(), |tenant| format!("&amp;tenant={}", Text(tenant)));
    document(w, &tenant, &body)
}

fn document(w: &Words, tenant: &str, body: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="{code}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="status/style.css">
</head>
<body>
<header><h1>{title}</h1> <a href="?lang={other}{tenant}" lang="{other}" hreflang="{other}">{other_name}</a></header>
<main>{body}</main>
</body>
</html>
"#,
        code = w.code,
        title = w.title,
        other = w.other_code,
        other_name = w.other_name,
    )
}

fn section(title: &str, body: &str) -> String {
    format!("<section><h2>{title}</h2>{body}</section>\n")
}

/// A section, or why it cannot be shown.
fn part<T>(w: &Words, title: &str, content: &Result<T, String>, show: impl Fn(&Words, &T) -> String) -> String {
    match content {
        Ok(content) => section(title, &show(w, content)),
        Err(why) => section(title, &format!(r#"<p class="error">{} {}</p>"#, w.cannot_read, Text(why))),
    }
}

/// A table of at most [`ROWS_MAX`] rows; `cells` holds HTML.
fn table(w: &Words, heads: &[&str], rows: &[Vec<String>], empty: &str) -> String {
    if rows.is_empty() {
        return format!("<p>{empty}</p>");
    }
    let head: String = heads.iter().map(|head| format!(r#"<th scope="col">{head}</th>"#)).collect();
    let row = |cells: &Vec<String>| cells.iter().map(|cell| format!("<td>{cell}</td>")).collect::<String>();
    let body: String = rows.iter().take(ROWS_MAX).map(|cells| format!("<tr>{}</tr>\n", row(cells))).collect();
    let more = if rows.len() > ROWS_MAX { format!(r#"<p class="note">{}</p>"#, w.more) } else { String::new() };
    format!("<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>{more}")
}

fn badge(state: &str) -> String {
    format!(r#"<span class="state {state}">{state}</span>"#)
}

fn text(value: impl Display) -> String {
    Text(value).to_string()
}

fn components(w: &Words, components: &[Component]) -> String {
    let row = |component: &Component| {
        vec![
            text(&component.name),
            badge(component.condition.name()),
            text(component.condition.reason().unwrap_or_default()),
            text(Time(component.since)),
        ]
    };
    let rows: Vec<_> = components.iter().map(row).collect();
    table(w, &[w.component, w.condition, w.reason, w.since], &rows, w.none)
}

fn checks(w: &Words, checks: &Checks) -> String {
    let count = |(name, count): &(&str, usize)| {
        let word = if *name == "pending" { w.pending } else { name };
        format!(r#"<li><span class="state {name}">{word}</span><b>{count}</b></li>"#)
    };
    let counts: String = checks.counts.iter().map(count).collect();
    let rows: Vec<_> = checks.not_ok.iter().filter_map(|check| not_ok(w, check)).collect();
    let heads = [w.state, w.tenant, w.check, w.output, w.since];
    let list = table(w, &heads, &rows, w.all_ok);
    format!("<ul class=\"counts\">{counts}</ul>\n<h3>{}</h3>{list}", w.not_ok)
}

fn not_ok(w: &Words, check: &Check) -> Option<Vec<String>> {
    let current = check.current.as_ref()?;
    let mut state = badge(current.state.as_str());
    for (holds, word) in [(!current.hard, w.soft), (current.recorded, w.recorded)] {
        if holds {
            state = format!("{state} ({word})");
        }
    }
    Some(vec![state, text(&check.tenant), text(&check.check_id), text(&current.output), text(current.since)])
}

fn tickets(w: &Words, tickets: &[Ticket]) -> String {
    let row = |ticket: &Ticket| {
        let mut title = text(&ticket.title);
        if ticket.recorded {
            title = format!("{title} ({})", w.recorded);
        }
        vec![
            ticket.number.to_string(),
            text(&ticket.tenant),
            w.kind(ticket.kind).to_owned(),
            ticket.priority.to_string(),
            title,
            text(ticket.assignee.as_deref().unwrap_or("-")),
            text(Time(ticket.opened_at_ms)),
        ]
    };
    let rows: Vec<_> = tickets.iter().map(row).collect();
    let heads = [w.number, w.tenant, w.kind, w.priority, w.ticket_title, w.assignee, w.opened];
    table(w, &heads, &rows, w.none)
}

fn predictions(w: &Words, predictions: &[Prediction]) -> String {
    let row = |prediction: &Prediction| {
        let mut summary = text(&prediction.summary);
        if prediction.recorded {
            summary = format!("{summary} ({})", w.recorded);
        }
        vec![
            text(&prediction.tenant),
            text(&prediction.check_id),
            summary,
            text(prediction.expected_at),
            text(prediction.deadline),
        ]
    };
    let rows: Vec<_> = predictions.iter().map(row).collect();
    table(w, &[w.tenant, w.check, w.summary, w.expected, w.deadline], &rows, w.none)
}
