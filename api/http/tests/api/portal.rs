//! The portal's files, as a browser gets them.

use std::path::{Path, PathBuf};

use ureq::http::Method;

use crate::fixture::Server;

fn dist() -> PathBuf {
    Path::new("../../dashboards/dist").to_owned()
}

/// The names in `assets/`, without the compressed copies.
fn assets() -> Vec<String> {
    let entries = std::fs::read_dir(dist().join("assets")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".gz")).collect()
}

#[test]
fn the_page_is_asked_for_anew_and_loads_nothing_from_another_host() {
    let server = Server::start();
    let page = server.anyone().get("/");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), "no-cache");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    for opening in ["http", "*", "unsafe", "data:"] {
        assert!(!policy.contains(opening), "{opening} in {policy}");
    }
    assert!(!page.text().contains("http://") && !page.text().contains("https://"), "{}", page.text());
}

#[test]
fn every_asset_has_its_type_and_may_be_kept_for_ever() {
    let server = Server::start();
    let names = assets();
    assert!(names.iter().any(|name| name.ends_with(".js")) && names.iter().any(|name| name.ends_with(".css")));
    for name in names {
        let answer = server.anyone().get(&format!("/assets/{name}"));
        let media = match name.rsplit_once('.').unwrap().1 {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "woff2" => "font/woff2",
            other => panic!("what is {other}?"),
        };
        assert_eq!((answer.status, answer.header("content-type")), (200, media), "{name}");
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.body == std::fs::read(dist().join("assets").join(&name)).unwrap(), "{name} as it was built");
    }
    assert_eq!(server.anyone().get("/icon.svg").header("content-type"), "image/svg+xml");
}

/// Under a sub-path a proxy takes the prefix off; a URL that starts at the root would miss it.
#[test]
fn the_page_names_its_files_relative_to_itself_and_they_are_there() {
    let server = Server::start();
    let page = server.anyone().get("/");
    let named: Vec<&str> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|attribute| page.text().split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()))
        .collect();
    assert!(named.len() >= 3, "{named:?}");
    for url in named {
        assert!(!url.starts_with('/') && !url.contains(':'), "{url} is not relative");
        let path = format!("/{}", url.trim_start_matches("./"));
        assert_eq!(server.anyone().get(&path).status, 200, "{url}");
    }
    for name in assets().iter().filter(|name| name.ends_with(".js") || name.ends_with(".css")) {
        let text = std::fs::read_to_string(dist().join("assets").join(name)).unwrap();
        for rooted in ["\"/assets/", "url(/"] {
            assert!(!text.contains(rooted), "{name} asks for {rooted}: the portal would fail under a sub-path");
        }
    }
}

#[test]
fn who_takes_gzip_gets_the_same_text_smaller() {
    let server = Server::start();
    let name = assets().into_iter().find(|name| name.ends_with(".js")).unwrap();
    let ask = |encoding: &str| {
        let url = format!("http://{}/assets/{name}", server.address);
        let agent = ureq::Agent::new_with_defaults();
        let mut response = agent.get(url).header("accept-encoding", encoding).call().unwrap();
        let said = response.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
        (said, response.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap())
    };
    let plain = std::fs::read(dist().join("assets").join(&name)).unwrap();
    for encoding in ["identity", "br", "gzip;q=0"] {
        assert!(ask(encoding) == (None, plain.clone()), "{encoding}");
    }
    let (said, body) = ask("br;q=0.5, gzip");
    assert_eq!(said.as_deref(), Some("gzip"));
    assert!(body.starts_with(&[0x1f, 0x8b]) && body.len() < plain.len());
}

#[test]
fn only_its_own_files_can_be_asked_for() {
    let server = Server::start();
    for path in ["/assets/nothing.js", "/assets/..%2Findex.html", "/assets/%2e%2e%2f%2e%2e%2fapp%2fpackage.json"] {
        server.anyone().get(path).problem(404, "not-found");
    }
    let gz = assets().into_iter().find(|name| name.ends_with(".js")).unwrap() + ".gz";
    server.anyone().get(&format!("/assets/{gz}")).problem(404, "not-found");
    assert_eq!(server.anyone().send(Method::POST, "/assets/x.js", None, Vec::new()).status, 405);
}
