use tidemark_schema::{FingerprintKey, ManualClock};

use super::*;

const NOW: &str = "2026-11-18T10:00:00Z";

fn intake(policy: &str, memory: usize) -> Intake {
    let policy = Arc::new(Policy::parse(policy).unwrap());
    let limits = IntakeLimits { events: Limits::default(), batch_events: 3, content_bytes: 4_096 };
    let keys = Arc::new(FingerprintKey::new([7; 32]).into());
    let clock = Arc::new(ManualClock::at(NOW.parse().unwrap()));
    Intake::new(clock, keys, policy, Sources::default(), limits, Memory::new(memory))
}

fn retrieval(number: usize) -> String {
    format!(
        r#"{{"event_id":"e{number}","occurred_at":"{NOW}","corpus":"c","principal":"alice","query":{{"text":"q"}},"results":[]}}"#
    )
}

fn read(intake: &Intake, content: &str) -> Result<Read, ReadError> {
    let body = Body { bytes: content.as_bytes().to_vec(), compression: Compression::None, room: None };
    intake.read(body, Format::Events(Kind::Retrieval), &|_, _| None)
}

/// The outcomes of a batch, a letter each: accepted, rejected, over quota.
#[track_caller]
fn check(policy: &str, lines: &[&str], expected: &str) {
    let read = read(&intake(policy, 1 << 20), &lines.join("\n")).unwrap();
    let letter = |answer: &Answer| match answer.outcome {
        Outcome::Accepted => 'a',
        Outcome::Duplicate => 'd',
        Outcome::Rejected(_) => 'r',
        Outcome::OverQuota { .. } => 'q',
    };
    assert_eq!(read.answers.events.iter().map(letter).collect::<String>(), expected);
    assert_eq!(read.events.len(), expected.matches('a').count());
}

/// INV-03: one bad event never spoils its batch.
#[test]
fn each_event_of_a_batch_has_an_answer_of_its_own() {
    check("bounds: {}", &[&retrieval(1), "{\"corpus\":1}", &retrieval(2)], "ara");
    check("bounds: {events_per_second: 1, burst: 1}", &[&retrieval(1), &retrieval(2)], "aq");
}

#[track_caller]
fn check_refused(memory: usize, content: &str, expected: &str) {
    assert_eq!(read(&intake("bounds: {}", memory), content).err().unwrap().to_string(), expected);
}

/// INV-04: nothing grows without a bound.
#[test]
fn what_a_request_may_hold_is_bounded() {
    let four: Vec<String> = (0..4).map(retrieval).collect();
    check_refused(1 << 20, &four.join("\n"), "the batch has more than 3 events; none of them was stored");
    check_refused(1 << 20, &" ".repeat(5_000), "the content is larger than 4096 bytes after decompression");
    check_refused(0, &retrieval(1), "the requests that are being served hold too many bytes for this one");
    check_refused(1 << 20, " \n ", "the body holds no event");
}
