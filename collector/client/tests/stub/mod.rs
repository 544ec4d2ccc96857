//! A server that answers as it is told, and keeps what it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};

/// Status, `Retry-After`, and what is said of each event.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Value,
}

/// The lines of a request, and when it came.
pub(crate) struct Request {
    pub(crate) lines: Vec<Value>,
    pub(crate) at: Instant,
}

pub(crate) struct Stub {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    events: Arc<Mutex<Vec<Value>>>,
}

pub(crate) fn accept(lines: &[Value]) -> Answer {
    let events: Vec<Value> = lines.iter().map(|_| json!({ "status": "accepted" })).collect();
    Answer { status: 202, retry_after: None, body: json!({ "events": events }) }
}

pub(crate) fn refuse(status: u16) -> Answer {
    Answer { status, retry_after: None, body: json!({ "detail": "the key may not write", "hint": "ask for another" }) }
}

impl Stub {
    /// `answer` is given the number of the request and its lines.
    pub(crate) fn start(answer: impl Fn(usize, &[Value]) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stub = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            requests: Arc::default(),
            events: Arc::default(),
        };
        let (requests, events, answer) = (Arc::clone(&stub.requests), Arc::clone(&stub.events), Arc::new(answer));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (requests, events, answer) = (Arc::clone(&requests), Arc::clone(&events), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(connection.try_clone().unwrap());
                    while let Some(lines) = read(&mut reader) {
                        let number = {
                            let mut requests = requests.lock().unwrap();
                            requests.push(Request { lines: lines.clone(), at: Instant::now() });
                            requests.len() - 1
                        };
                        let answer = answer(number, &lines);
                        let told = answer.body["events"].as_array().cloned().unwrap_or_default();
                        let taken = lines.into_iter().zip(told).filter(|(_, told)| told["status"] == "accepted");
                        events.lock().unwrap().extend(taken.map(|(line, _)| line));
                        write(&connection, &answer);
                    }
                });
            }
        });
        stub
    }

    /// How many events each request held, and when it came.
    pub(crate) fn requests(&self) -> Vec<(usize, Instant)> {
        self.requests.lock().unwrap().iter().map(|request| (request.lines.len(), request.at)).collect()
    }

    /// The numbers of what it said it has, each as often as it said so.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let events = self.events.lock().unwrap();
        let mut numbers: Vec<u64> = events.iter().filter_map(|event| event["attributes"]["number"].as_u64()).collect();
        numbers.sort_unstable();
        numbers
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Vec<Value>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Some(lines.map(|line| serde_json::from_slice(line).unwrap()).collect())
}

fn write(mut connection: &TcpStream, answer: &Answer) {
    let body = answer.body.to_string();
    let retry_after = answer.retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
    let head = format!("HTTP/1.1 {} -\r\ncontent-length: {}\r\n{retry_after}\r\n", answer.status, body.len());
    // A client that went away meanwhile is what some tests are about.
    drop(connection.write_all(format!("{head}{body}").as_bytes()));
}
