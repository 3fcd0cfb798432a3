//! Web pages, good and hostile ones.

use std::sync::{Arc, Mutex};

use kizashi_model::{Span, State};
use tokio::io::AsyncWriteExt;

use crate::support::{Certificate, Server, closed_port, outcome, page, parse, run, value};

#[tokio::test]
async fn a_page_is_ok_with_the_time_of_each_phase() {
    let server = Server::http(|_| page("200 OK", "", "all is well")).await;
    let result =
        run(&format!("url = {{ address = 'http://localhost:{}/health?x=1', body = 'well$' }}", server.at.port())).await;
    assert_eq!(result.state, State::Ok, "{}", result.output);
    assert_eq!((value(&result, "status"), value(&result, "body_bytes")), (Some(200.0), Some(11.0)));
    let phases =
        ["dns_ms", "connect_ms", "tls_ms", "first_byte_ms", "transfer_ms"].map(|name| value(&result, name).unwrap());
    let total = value(&result, "total_ms").unwrap();
    assert!(phases.iter().sum::<f64>() <= total + 0.01, "{phases:?} of {total}");
    assert_eq!(phases[2], 0.0, "no TLS");
    assert_eq!(value(&result, "days_left"), None);
}

#[tokio::test]
async fn status_and_body_must_be_as_expected() {
    let server = Server::http(|_| page("503 Service Unavailable", "", "down")).await;
    let check = |more: &str| format!("url = {{ address = 'http://127.0.0.1:{}/' {more} }}", server.at.port());
    let result = run(&check("")).await;
    assert_eq!(result.state, State::Critical);
    assert!(result.output.starts_with("status 503, expected 200 to 299"), "{}", result.output);
    assert_eq!(run(&check(", status = [200, 503]")).await.state, State::Ok);
    let result = run(&check(", status = [503], body = 'up'")).await;
    assert!(result.output.starts_with("the body does not match \"up\""), "{}", result.output);
}

#[tokio::test]
async fn the_request_is_as_configured() {
    let heads = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&heads);
    let server = Server::http(move |head| {
        head.clone_into(&mut seen.lock().unwrap());
        page("204 No Content", "", "")
    })
    .await;
    let at = server.at;
    let result = run(&format!("url = {{ address = 'http://{at}/a%20b?q=1#part', method = 'POST', headers = {{ X-Probe = 'yes', host = 'shop.example.com' }} }}")).await;
    assert_eq!(result.state, State::Ok, "{}", result.output);
    let head = heads.lock().unwrap().clone();
    assert!(head.starts_with("POST /a%20b?q=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("x-probe: yes\r\n") && head.contains("host: shop.example.com\r\n"), "{head}");
}

#[tokio::test]
async fn redirects_are_followed_to_the_end_and_headers_stay_at_home() {
    let heads = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&heads);
    let far = Server::http(move |head| {
        head.clone_into(&mut seen.lock().unwrap());
        page("200 OK", "", "here")
    })
    .await;
    let to = far.at;
    let near = Server::http(move |head| {
        assert!(head.contains("authorization: Bearer secret"), "{head}");
        if head.starts_with("GET /start") {
            page("302 Found", "location: /next\r\n", "")
        } else {
            page("301 Moved Permanently", &format!("location: http://{to}/end\r\n"), "")
        }
    })
    .await;
    let check = |redirects: u8| {
        format!(
            "url = {{ address = 'http://{}/start', redirects_max = {redirects}, status = [200, 302], headers = {{ authorization = 'Bearer secret' }} }}",
            near.at
        )
    };
    let result = run(&check(5)).await;
    assert_eq!(result.state, State::Ok, "{}", result.output);
    assert!(result.output.contains("status 200 after 2 redirects"), "{}", result.output);
    let head = heads.lock().unwrap().clone();
    assert!(head.starts_with("GET /end") && !head.contains("secret"), "{head}");

    let result = run(&check(0)).await;
    assert!(result.output.contains("status 302,"), "not followed: {}", result.output);
}

#[tokio::test]
async fn a_redirect_loop_and_a_redirect_to_somewhere_else_end() {
    let server = Server::http(|_| page("302 Found", "location: /again\r\n", "")).await;
    let result = run(&format!("url = {{ address = 'http://{}/', redirects_max = 3 }}", server.at)).await;
    assert_eq!(result.state, State::Critical);
    assert!(result.output.starts_with("more than 3 redirects"), "{}", result.output);

    let server = Server::http(|_| page("302 Found", "location: file:///etc/passwd\r\n", "")).await;
    let result = run(&format!("url = {{ address = 'http://{}/' }}", server.at)).await;
    assert_eq!(result.state, State::Critical);
    assert!(result.output.contains("only http and https are checked"), "{}", result.output);
}

#[tokio::test]
async fn a_body_of_a_hundred_megabytes_is_read_up_to_its_bound() {
    let server = Server::start(|mut stream| async move {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 100 << 20);
        let _ = stream.write_all(head.as_bytes()).await;
        let block = vec![b'x'; 1 << 20];
        for _ in 0..100 {
            if stream.write_all(&block).await.is_err() {
                return;
            }
        }
    })
    .await;
    let check = |more: &str| format!("url = {{ address = 'http://{}/', {more} }}", server.at);
    let result = run(&check("body_bytes_max = 2097152")).await;
    assert_eq!(result.state, State::Ok, "{}", result.output);
    assert_eq!(value(&result, "body_bytes"), Some(2_097_152.0));
    assert!(result.output.contains("more than 2097152 bytes"), "{}", result.output);
    let result = run(&check("body = 'end'")).await;
    assert!(result.output.starts_with("the first 1048576 bytes of the body do not match"), "{}", result.output);
}

#[tokio::test]
async fn a_server_that_never_answers_times_out_and_a_slow_one_passes_its_threshold() {
    let server = Server::silent().await;
    let mut check = parse(&format!("url = {{ address = 'http://{}/' }}", server.at)).unwrap();
    check.timeout = Span::from_ms(200);
    let result = outcome(&check, None).await.result;
    assert_eq!(
        (result.state, result.output.as_str()),
        (State::Critical, "timed out after 200ms while waiting for the first byte")
    );

    let server = Server::http(|_| page("200 OK", "", "")).await;
    let result = run(&format!("url = {{ address = 'http://{}/', warning_time = '0ms' }}", server.at)).await;
    assert_eq!(result.state, State::Warning, "{}", result.output);
}

#[tokio::test]
async fn what_is_not_http_is_critical() {
    for text in ["SSH-2.0-OpenSSH_9.6\r\n", "", "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\ncut"] {
        let server = Server::saying(text).await;
        let result = run(&format!("url = {{ address = 'http://{}/' }}", server.at)).await;
        assert_eq!(result.state, State::Critical, "{text:?}: {}", result.output);
    }
    let huge = Server::http(|_| format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(200_000)).into_bytes()).await;
    assert_eq!(run(&format!("url = {{ address = 'http://{}/' }}", huge.at)).await.state, State::Critical);
    let result = run(&format!("url = {{ address = 'http://127.0.0.1:{}/' }}", closed_port().await)).await;
    assert!(result.output.contains("Connection refused"), "{}", result.output);
}

#[tokio::test]
async fn a_page_behind_tls_has_its_certificate_judged_before_anything_is_sent() {
    let certificate = Certificate::until(2027, 1, 25);
    let folder = tempfile::tempdir().unwrap();
    let ca = certificate.file(folder.path());
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let server = Server::https(&certificate, move |head| {
        *count.lock().unwrap() += usize::from(!head.is_empty());
        page("200 OK", "", "inside")
    })
    .await;
    let check = |more: &str| {
        format!(
            "url = {{ address = 'https://localhost:{}/', warning_days = 5, critical_days = 2 {more} }}",
            server.at.port()
        )
    };

    let distrusted = run(&check("")).await;
    assert_eq!(distrusted.state, State::Critical);
    assert!(
        distrusted.output.contains("not trusted") || distrusted.output.contains("no trusted"),
        "{}",
        distrusted.output
    );
    assert!(value(&distrusted, "days_left").is_some_and(|days| (9.6..9.7).contains(&days)));
    assert_eq!(*asked.lock().unwrap(), 0, "no request, no header reached it");

    let trusted = run(&check(&format!(", body = 'inside', ca_file = '{}'", ca.display()))).await;
    assert_eq!(trusted.state, State::Ok, "{}", trusted.output);
    assert!(value(&trusted, "tls_ms").is_some_and(|ms| ms > 0.0));
    assert_eq!(run(&check(", verify = false")).await.state, State::Ok);
    assert_eq!(*asked.lock().unwrap(), 2);
}
