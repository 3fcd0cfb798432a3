//! A client that holds every answer against the contract.

use std::io::{BufRead as _, BufReader};
use std::sync::LazyLock;

use serde_json::Value;
use ureq::http::{HeaderMap, Method, Request};
use ureq::{Agent, BodyReader};

use crate::contract::Contract;

const EVENT_STREAM: &str = "text/event-stream";

pub static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::of_the_product);

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The name and the value of the cookie that it sets.
    pub fn cookie(&self) -> &str {
        self.header("set-cookie").split(';').next().unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The JSON of an answer that must be 200.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// The problem of an answer that must be this one.
    #[track_caller]
    pub fn problem(&self, status: u16, name: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:kizashi:problem:{name}"));
        assert_eq!(problem["status"], status);
        problem
    }
}

/// Asks one server, with or without a token.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    base: String,
    headers: Vec<(String, String)>,
}

impl Client {
    pub fn new(base: &str) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(std::time::Duration::from_secs(60)))
            .allow_non_standard_methods(true)
            .build()
            .new_agent();
        Self { agent, base: base.to_owned(), headers: Vec::new() }
    }

    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.headers.push((name.to_owned(), value.to_owned()));
        other
    }

    pub fn with_token(&self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, Vec::new())
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some("application/json"), body.to_string().into_bytes())
    }

    /// Opens a stream of events.
    #[track_caller]
    pub fn events(&self, path: &str) -> Events {
        let mut request = Request::builder().uri(format!("{}{path}", self.base));
        for (header, value) in &self.headers {
            request = request.header(header, value);
        }
        let response = self.agent.run(request.body(()).unwrap()).unwrap();
        let headers = response.headers().clone();
        let answer = Answer { status: response.status().as_u16(), headers, body: Vec::new() };
        assert_eq!((answer.status, answer.header("content-type")), (200, EVENT_STREAM));
        CONTRACT.hold("GET", path.split('?').next().unwrap(), &answer);
        Events(BufReader::new(response.into_body().into_reader()))
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, Some("application/json"), body.to_string().into_bytes())
    }

    #[track_caller]
    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, Some("application/json"), body.to_string().into_bytes())
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None, Vec::new())
    }

    #[track_caller]
    pub fn send(&self, method: Method, path: &str, content_type: Option<&str>, body: Vec<u8>) -> Answer {
        let name = method.to_string();
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (header, value) in &self.headers {
            request = request.header(header, value);
        }
        if let Some(of) = content_type {
            request = request.header("content-type", of);
        }
        let sent = match content_type {
            Some(_) => self.agent.run(request.body(body).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        };
        let mut response = sent.unwrap();
        let headers = response.headers().clone();
        let endless = headers.get("content-type").is_some_and(|value| value == EVENT_STREAM);
        let mut body = Vec::new();
        if !endless {
            body = response.body_mut().with_config().limit(64 * 1024 * 1024).read_to_vec().unwrap();
        }
        let answer = Answer { status: response.status().as_u16(), headers, body };
        CONTRACT.hold(&name, path.split('?').next().unwrap(), &answer);
        answer
    }
}

/// A stream of events that is open.
pub struct Events(BufReader<BodyReader<'static>>);

/// An event as a browser would see it; a comment has the name `:`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    pub id: Option<String>,
    pub data: String,
}

impl Event {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

impl Events {
    /// The next event or comment; `None` at the end of the stream.
    pub fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end_matches('\n').split_once(": ") {
                Some(("event", name)) => name.clone_into(&mut event.name),
                Some(("id", id)) => event.id = Some(id.to_owned()),
                Some(("data", data)) => data.clone_into(&mut event.data),
                Some(("", _)) => ":".clone_into(&mut event.name),
                Some(_) => {}
                None if event == Event::default() => {}
                None => return Some(event),
            }
        }
    }

    /// The next event that is no comment.
    #[track_caller]
    pub fn told(&mut self) -> Event {
        loop {
            let event = self.next().expect("the stream goes on");
            if event.name != ":" {
                return event;
            }
        }
    }
}

/// Percent-encodes a value for a query string.
pub fn encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}
