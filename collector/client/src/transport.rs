//! Requests, on a thread of their own: one that hangs can be left behind when the time is over.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use crate::answer::{self, Outcome};
use crate::event::Kind;
use crate::settings::Settings;

/// One request at a time.
#[derive(Debug)]
pub(crate) struct Transport {
    posts: Sender<Post>,
    outcomes: Receiver<Outcome>,
}

#[derive(Debug)]
struct Post {
    kind: Kind,
    body: Vec<u8>,
    events: usize,
    timeout: Duration,
}

impl Transport {
    /// Starts the thread. It ends with this, or with the request that runs then.
    pub(crate) fn start(settings: &Settings) -> io::Result<Self> {
        let (posts, to_send) = mpsc::channel::<Post>();
        let (came_back, outcomes) = mpsc::channel();
        let url = settings.url.trim_end_matches('/').to_owned();
        // Nobody who answers elsewhere is the server that was named.
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
        std::thread::Builder::new().name("tidemark-post".to_owned()).spawn(move || {
            while let Ok(post) = to_send.recv() {
                if came_back.send(send(&agent, &url, &post)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { posts, outcomes })
    }

    /// Begins a request. Its outcome has to be waited for before the next.
    pub(crate) fn post(&self, kind: Kind, lines: &[Vec<u8>], timeout: Duration) {
        let post = Post { kind, body: lines.join(&b'\n'), events: lines.len(), timeout };
        // If the thread is gone, the outcome says so.
        drop(self.posts.send(post));
    }

    /// What the request brought, if it ends within `wait`.
    pub(crate) fn outcome(&self, wait: Duration) -> Option<Outcome> {
        match self.outcomes.recv_timeout(wait) {
            Ok(outcome) => Some(outcome),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                Some(Outcome::failed("the thread that makes requests has ended; start a new recorder"))
            }
        }
    }
}

fn send(agent: &ureq::Agent, url: &str, post: &Post) -> Outcome {
    let request = agent
        .post(format!("{url}{}", post.kind.path()))
        .header("content-type", "application/x-ndjson")
        .config()
        .timeout_global(Some(post.timeout))
        .build();
    let mut response = match request.send(&post.body[..]) {
        Ok(response) => response,
        Err(error) => return Outcome::failed(format!("{url} does not answer: {error}; is the server running there?")),
    };
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    match response.body_mut().read_to_vec() {
        Ok(body) => answer::read(status, retry_after, &body, post.events),
        Err(error) => Outcome::failed(format!("the answer of {url} broke off: {error}")),
    }
}
