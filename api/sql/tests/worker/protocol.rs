//! Both sides against another that does not keep to the protocol.

use std::path::Path;

use kizashi_engine::QueryError;
use kizashi_sql::SqlClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::support::{Worker, quick, request};

fn frame(code: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![code, 0, 0, 0];
    bytes.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// Sends and gives back what comes until the worker closes.
async fn exchange(worker: &Worker, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(&worker.socket).await.unwrap();
    // It may close before it has read all.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_worker_answers_nonsense_with_words_and_goes_on() {
    let worker = Worker::start(quick());
    let hello = frame(1, br#"{"version":3}"#);
    let query = frame(
        3,
        br#"{"sql":"select 1","scope":"all","rows_max":1,"timeout_ms":1000,"time_zone":null,"dialect":"own","describe":false}"#,
    );
    let unknown = frame(3, br#"{"sql":"select 1","scope":"everything"}"#);
    for (bytes, said) in [
        (frame(1, br#"{"version":99}"#), "version 99"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "code 71"),
        (vec![3, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], "4294967295"),
        (query.clone(), "where Hello was to come"),
        ([hello.clone(), unknown].concat(), "everything"),
        ([hello.clone(), frame(2, b"no rows"), query.clone()].concat(), "did not understand"),
        ([hello.clone(), frame(4, b"")].concat(), "where Query was to come"),
    ] {
        let answer = exchange(&worker, &bytes).await;
        assert!(answer.contains(said), "{said:?} is not in {answer:?}");
    }
    assert_eq!(exchange(&worker, b"").await, "");
    assert!(exchange(&worker, &hello[..3]).await.contains("unavailable"));
    assert_eq!(worker.client.query(request("select 1")).await.unwrap().rows(), 1);
    worker.quiet().await;
}

/// A worker that takes one connection after another and answers each with the same bytes.
async fn pretend(path: &Path, answers: Vec<Vec<u8>>) -> Vec<QueryError> {
    let listener = UnixListener::bind(path).unwrap();
    let client = SqlClient::connect(path.to_owned(), quick());
    let serving = async {
        for bytes in &answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 16];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    };
    let asking = async {
        let mut errors = Vec::new();
        for _ in &answers {
            errors.push(client.query(request("select 1")).await.expect_err("no rows"));
        }
        errors
    };
    tokio::join!(serving, asking).1
}

#[tokio::test]
async fn a_client_makes_an_error_of_whatever_a_broken_worker_sends() {
    let dir = tempfile::tempdir().unwrap();
    let hello = frame(1, br#"{"version":3}"#);
    let head = frame(5, br#"{"data_versions":{}}"#);
    let errors = pretend(
        &dir.path().join("socket"),
        vec![
            Vec::new(),
            hello.clone(),
            [hello.clone(), head.clone()].concat(),
            [hello.clone(), head[..7].to_vec()].concat(),
            [hello.clone(), head.clone(), frame(6, b"not arrow at all, but long enough")].concat(),
            [hello.clone(), head.clone(), frame(7, br#"{"truncated":false}"#)].concat(),
            frame(99, b""),
            frame(1, br#"{"version":4}"#),
            [hello, frame(8, br#"{"kind":"limit","which":"time","message":"slow"}"#)].concat(),
        ],
    )
    .await;
    let ended = |error: &QueryError| matches!(error, QueryError::Unavailable(text) if text.starts_with("the SQL worker ended while this statement ran"));
    for error in &errors[..4] {
        assert!(ended(error), "{error:?}");
    }
    for error in &errors[4..7] {
        assert!(matches!(error, QueryError::Internal(_)), "{error:?}");
    }
    assert!(matches!(&errors[7], QueryError::Unavailable(text) if text.contains("version 4")), "{:?}", errors[7]);
    assert_eq!(errors[8].to_string(), "slow");
}
