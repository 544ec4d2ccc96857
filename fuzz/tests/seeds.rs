//! Writes the hand-made inputs of `corpus/`. Not run with the others: the inputs are committed.
//!
//! `cargo test --manifest-path fuzz/Cargo.toml --test seeds -- --ignored`

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int8Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Int8Array, RecordBatch, StringArray, StringViewArray, TimestampMillisecondArray,
};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use prost::Message;
use tidemark_collector::decode::otlp;
use tidemark_collector::decode::{Context, Event, Kind, Limits, decode};
use tidemark_collector::policy::Policy;
use tidemark_schema::columns::retrievals;
use tidemark_schema::{FingerprintKey, Ingest, Stored};

const RETRIEVAL: &str = r#"{"event_id":"01931f7c-4a2e-7b1c-9d55-2f1f0e6c1a10","occurred_at":"2026-11-18T09:30:00.123456Z","operation_id":"op-1","attempt":2,"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","principal":"user:7","service":"chat","environment":"prod","segment":{"locale":"de","tier":"free"},"corpus":"team/handbook","corpus_version":"v12","retriever":{"name":"main","kind":"hybrid","version":"3","score_kind":"rrf","index":"idx-1","embedder":"e5","params":{"hnsw_ef":128,"deep":[1,{"a":null}]}},"query":{"text":"how do I reset my badge","simhash":"0123456789abcdef","embedding":[0.25,-1e-3,3.4028235e38]},"requested":{"top_k":10,"max_context_tokens":4096,"max_age_s":86400,"scope":["public"],"filter":"lang = 'de'"},"results":[{"doc_id":"hr/badges.md#3","score":0.9,"content_hash":"b3:9f86d081884c7d65","tokens":118,"updated_at":"2026-10-02T00:00:00Z","scope":"public"},{"doc_id":12,"score":null},{"doc_id":"c","score":-0.0}],"results_total":50,"model":"m","prompt_version":"p","policy_version":"q","latency_ms":12.5,"cost_usd":1e-7,"attributes":{"any":{"thing":[true,"x",1.0]}},"marks":["bound.results"]}"#;
const OUTPUT: &str = r#"{"event_id":"evt-1","occurred_at":"2026-11-18T10:30:00+01:00","operation_id":"op-1","attempt":1,"trace_id":"t","principal":"u","service":"s","model":"m1","prompt_version":"p1","policy_version":"q","output":{"text":"Bring your badge.","hash":"b3:0158c1bcb49fef40","embedding":[0.1,-0.2],"tokens":83},"citations":["a",7],"refusal":false,"scores":{"faithfulness":0.825},"feedback":-1,"latency_ms":900,"cost_usd":0.01,"marks":["redacted.email"]}"#;
const ENTRIES: &str = "{\"doc_id\":\"hr/badges.md#3\",\"content_hash\":\"b3:9f86\",\"vector_hash\":\"b3:01\",\"tokens\":118,\"updated_at\":\"2026-10-02T00:00:00Z\",\"scope\":\"public\"}\n{\"doc_id\":12,\"content_hash\":\"1\"}\n";

fn seed(target: &str, name: &str, bytes: impl AsRef<[u8]>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(format!("seed-{name}")), bytes).unwrap();
}

fn gzip(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::encode_all(content.as_ref(), 3).unwrap()
}

/// Events of each shape, by name.
fn retrieval_events() -> Vec<(&'static str, String)> {
    let short = |query: &str, rest: &str| {
        format!(r#"{{"occurred_at":"2026-11-18T09:30:00Z","corpus":"c","query":{{{query}}},"results":[]{rest}}}"#)
    };
    let text = r#""text":"x""#;
    let twelve: Vec<String> = (0..12).map(|i| format!(r#"{{"doc_id":{i},"rank":{}}}"#, 12 - i)).collect();
    vec![
        ("every-field", RETRIEVAL.to_owned()),
        ("shortest", short(text, "")),
        ("fingerprint", short(r#""fingerprint":"fp:1","previous_fingerprint":"fp:0""#, "")),
        ("no-query", short("", "")),
        ("blank-text", short(r#""text":" \t\u00a0""#, "")),
        ("unicode", short(r#""text":"Stra\u00dfe \ud83d\ude00 \u0345\u1fb3 \ufb01 A\u030a \u200d""#, "")),
        ("raw-unicode", short("\"text\":\"ŒUVRE Ⅳ ﬃ İ ß ͅ ᾳ 𝕏 \u{feff}\u{202e}\"", "")),
        ("lone-surrogate", short(r#""text":"\ud83d""#, "")),
        ("nan", short(text, r#","latency_ms":NaN"#)),
        ("infinity", short(text, r#","cost_usd":-Infinity"#)),
        ("overflow", short(text, r#","latency_ms":1e999"#)),
        (
            "big-numbers",
            short(
                text,
                r#","attempt":4294967295,"results_total":0,"latency_ms":1.7976931348623157e308,"attributes":{"u":18446744073709551615,"i":-9223372036854775808,"f":123456789012345678901234567890,"s":5e-324}"#,
            ),
        ),
        ("embedding-overflow", short(r#""text":"x","embedding":[1e39]"#, "")),
        ("deep", short(text, &format!(r#","attributes":{{"a":{}{}}}"#, "[".repeat(120), "]".repeat(120)))),
        ("too-deep", short(text, &format!(r#","attributes":{{"a":{}"#, "[".repeat(400)))),
        ("duplicate-key", short(text, r#","model":"a","model":"b""#)),
        ("duplicate-attribute", short(text, r#","attributes":{"a":1,"a":2}"#)),
        ("unknown-field", short(text, r#","corpsu":"c""#)),
        (
            "nulls",
            short(
                text,
                r#","event_id":null,"attempt":null,"segment":null,"retriever":null,"requested":null,"attributes":null,"marks":null"#,
            ),
        ),
        ("attempt-0", short(text, r#","attempt":0"#)),
        ("future", short(text, "").replace("2026", "2031")),
        ("leap-second", short(text, "").replace("09:30:00", "23:59:60.999999999")),
        ("many-results", short(text, "").replace(r#""results":[]"#, &format!(r#""results":[{}]"#, twelve.join(",")))),
        (
            "same-rank",
            short(text, "")
                .replace(r#""results":[]"#, r#""results":[{"doc_id":"a","rank":1},{"doc_id":"b","rank":1}]"#),
        ),
        ("twice", short(text, "").replace(r#""results":[]"#, r#""results":[{"doc_id":"1"},{"doc_id":1}]"#)),
        ("trailing", format!("{} {{}}", short(text, ""))),
        ("array", "[1]".to_owned()),
    ]
}

fn outputs() -> Vec<(&'static str, String)> {
    let short = |rest: &str| format!(r#"{{"occurred_at":"2026-11-18T09:30:00Z","trace_id":"t"{rest}}}"#);
    vec![
        ("every-field", OUTPUT.to_owned()),
        ("shortest", short("")),
        ("text-only", short(r#","output":{"text":"an answer"}"#)),
        ("empty-text", short(r#","output":{"text":"","tokens":0}"#)),
        ("no-trace", r#"{"occurred_at":"2026-11-18T09:30:00Z","output":{}}"#.to_owned()),
        ("long-trace", short("").replace("\"t\"", &format!("\"{}\"", "t".repeat(256)))),
        (
            "scores",
            short(r#","scores":{"a":1,"b":-0.0,"c":1e-320},"refusal":true,"citations":[1,"1",18446744073709551615]"#),
        ),
        ("nan", short(r#","scores":{"a":NaN}"#)),
        ("null-body", short(r#","output":null,"citations":null,"scores":null"#)),
    ]
}

#[test]
#[ignore = "writes the seeds"]
fn write_the_seeds_of_the_decoders() {
    for (name, event) in retrieval_events() {
        seed("decode_retrieval", name, &event);
        seed("log_record", &format!("retrieval-{name}"), &event);
        seed("batch", &format!("line-{name}"), &event);
    }
    for (name, event) in outputs() {
        seed("decode_output", name, &event);
        seed("log_record", &format!("output-{name}"), &event);
    }
    for (kind, event) in [("retrieval", RETRIEVAL), ("output", OUTPUT)] {
        for ingest in ["live", "imported"] {
            let record = format!(
                r#"{{"kind":"{kind}","received_at":"2026-11-18T09:30:01Z","ingest":"{ingest}","event":{event}}}"#
            );
            seed("log_record", &format!("record-{kind}-{ingest}"), record);
        }
    }
    seed(
        "log_record",
        "record-other-kind",
        r#"{"kind":"other","received_at":"2026-11-18T09:30:01Z","ingest":"replayed","event":{}}"#,
    );

    let short = r#"{"occurred_at":"2026-11-18T09:30:00Z","corpus":"c","query":{"text":"x"},"results":[]}"#;
    let lines = format!("{short}\n\nnot json\n{{\"a\":NaN}}\r\n{OUTPUT}\n{}\n{short}", "x".repeat(5_000));
    let array = format!(" [{short},\n{{\"a\":\"]}}\\\"\"}} , 1, {OUTPUT}]\n");
    let printed = short.replace('{', "{\n ").replace(',', ",\n ") + "\n" + &short.replace('{', "{\n");
    for (name, content) in [("lines", &lines), ("array", &array), ("printed", &printed)] {
        seed("batch", name, content);
        seed("batch", &format!("{name}-gzip"), gzip(content));
        seed("batch", &format!("{name}-zstd"), zstd(content));
    }
    seed("batch", "closes-nothing", "[}");
    seed("batch", "object-closes-nothing", "{\n}}");
    seed("batch", "open-array", "[{\"a\":1},");
    seed("batch", "behind-array", "[] x");
    seed("batch", "cut-gzip", &gzip(&lines)[..100]);
    seed("batch", "two-gzip-members", [gzip(format!("{short}\n")), gzip(OUTPUT)].concat());
    seed("batch", "two-zstd-frames", [zstd(format!("{short}\n")), zstd(OUTPUT)].concat());
    seed("batch", "bomb-gzip", gzip(vec![b' '; 2_000_000]));
    seed("batch", "bomb-zstd", zstd(vec![b'['; 20_000_000]));
    // A frame that asks for a window of 2 GiB.
    seed("batch", "window-zstd", [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00]);
}

#[test]
#[ignore = "writes the seeds"]
fn write_the_seeds_of_the_log() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../collector/wal/tests/data/v1/00000000000000000041.wal");
    let golden = fs::read(golden).unwrap();
    let raw = |bytes: &[u8]| [&[6], &u16::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat();
    let sound: &[u8] = &[1, 3, 30, 7, 3, 0, 0, 3, 5, 9];
    let next: &[u8] = &[0, 254];
    let gap: &[u8] = &[0, 9];
    let long: &[u8] = &[4, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, b'x'];
    let absent: &[u8] = &[4, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, b'x'];
    let newer: &[u8] = &[2, 2, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let wide: &[u8] = &[2, 1, 0, 40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 16, 0];
    let jump: &[u8] = &[5, 3, 1, 0, b'j'];
    let far: &[u8] = &[0, 255, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 3, 2, 2];
    let recoveries = [
        ("nothing", vec![]),
        ("golden", [&[0, 41], &raw(&golden)[..]].concat()),
        ("golden-under-another-name", [&[0, 40], &raw(&golden)[..]].concat()),
        ("golden-cut", [&[0, 41], &raw(&golden[..golden.len() - 3])[..]].concat()),
        ("two-segments", [sound, next, sound].concat()),
        ("torn-tail", [sound, next, sound, absent].concat()),
        ("missing-segment", [sound, gap, sound].concat()),
        ("empty-last", [sound, next].concat()),
        ("too-long-record", [sound, long].concat()),
        ("newer", [newer, &sound[1..]].concat()),
        ("wide-header", [wide, &sound[1..]].concat()),
        ("damaged-header", [&[6, 3, 0, 1, 2, 3], sound].concat()),
        ("hole", [sound, &[7, 60, 0], jump, &sound[1..]].concat()),
        ("overlap", [sound, &[0, 1], sound].concat()),
        ("last-numbers", [sound, far].concat()),
    ];
    for (name, steps) in recoveries {
        seed("wal_recovery", name, steps);
    }

    // Segments of 104 bytes; three batches: two runs of a byte; a text; a copy of the log and a run.
    let written: &[u8] = &[10, 3, 2, 30, 7, 0, 0, 1, 254, 5, 0, b'h', b'e', b'l', b'l', b'o', 2, 255, 12, 9];
    let damages: [(&str, &[u8]); 10] = [
        ("sound", &[]),
        ("flip", &[0, 0, 0, 0, 0, 30, 0, 0, 0, 1]),
        ("flip-header", &[0, 1, 0, 0, 0, 9, 0, 0, 0, 128]),
        ("cut", &[1, 0, 0, 0, 0, 26, 0, 5, 0]),
        ("insert", &[2, 0, 0, 0, 0, 24, 0, 0, 0, 3, 0, 1, 2, 3]),
        ("truncate", &[3, 1, 0, 0, 0, 40, 0, 0, 0]),
        ("zeros", &[4, 0, 0, 0, 0, 20, 0, 40, 0, 0]),
        ("copy", &[5, 1, 0, 0, 0, 24, 0, 30, 0]),
        ("other-file", &[7, 1, 0, 0, 0, 0, 0, 0, 0]),
        ("missing-file", &[8, 1, 0, 0, 0, 0, 0, 0, 0]),
    ];
    for (name, damage) in damages {
        seed("wal_mutation", name, [written, damage].concat());
    }
}

#[test]
#[ignore = "writes the seeds"]
fn write_the_seeds_of_the_manifests() {
    seed("manifest_ndjson", "every-field", ENTRIES);
    seed("manifest_ndjson", "windows", format!("\u{feff}{}", ENTRIES.replace('\n', "\r\n\r\n")));
    for (name, line) in [
        ("twice", r#"{"doc_id":"12","content_hash":"1"}"#),
        ("duplicate-key", r#"{"doc_id":"b","doc_id":"c","content_hash":"x"}"#),
        ("unknown-field", r#"{"doc_id":"b","content_hash":"x","text":"y"}"#),
        ("missing", r#"{"doc_id":"b"}"#),
        ("array", "[1]"),
        ("cut", r#"{"doc_id":"#),
        ("tokens", r#"{"doc_id":"b","content_hash":"x","tokens":4294967296}"#),
        ("escapes", r#"{"doc_id":"\u00e4\ud83d\ude00\\\"/","content_hash":"\u0041"}"#),
        ("control", r#"{"doc_id":"a\u0000b","content_hash":"x"}"#),
        ("time", r#"{"doc_id":"b","content_hash":"x","updated_at":"9999-12-31T00:00:00Z"}"#),
        ("deep", &format!(r#"{{"doc_id":{}"#, "[".repeat(200))),
    ] {
        seed("manifest_ndjson", name, format!("{ENTRIES}{line}"));
    }
}

const SPANS: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"chat"}}]},"scopeSpans":[{"spans":[
{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7","name":"retrieve","startTimeUnixNano":"1763458200000000000","endTimeUnixNano":"1763458200012500000","droppedAttributesCount":1,"attributes":[
{"key":"openinference.span.kind","value":{"stringValue":"RETRIEVER"}},{"key":"input.value","value":{"stringValue":"{\"query\":\"q\"}"}},
{"key":"output.value","value":{"stringValue":"{\"documents\":[{\"id\":\"a\",\"metadata\":{\"source\":\"s\"},\"page_content\":\"x\"}]}"}},
{"key":"retrieval.documents.0.document.content","value":{"stringValue":"x"}},{"key":"retrieval.documents.0.document.score","value":{"doubleValue":0.5}},
{"key":"retrieval.documents.0.document.metadata","value":{"stringValue":"{\"source\":\"s\"}"}}]},
{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b8","startTimeUnixNano":"1763458200000000000","attributes":[
{"key":"gen_ai.operation.name","value":{"stringValue":"retrieval"}},{"key":"gen_ai.retrieval.query.text","value":{"stringValue":"q"}},{"key":"gen_ai.retrieval.top_k","value":{"intValue":"3"}},
{"key":"gen_ai.retrieval.documents","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"id","value":{"stringValue":"a"}},{"key":"score","value":{"doubleValue":0.5}}]}}]}}}]},
{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b9","startTimeUnixNano":"1763458200000000000","attributes":[
{"key":"openinference.span.kind","value":{"stringValue":"LLM"}},{"key":"llm.model_name","value":{"stringValue":"m"}},{"key":"llm.output_messages.0.message.content","value":{"stringValue":"four"}},
{"key":"evaluations.0.evaluation.name","value":{"stringValue":"e"}},{"key":"evaluations.0.evaluation.score","value":{"intValue":"1"}}]},
{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902ba","startTimeUnixNano":"1763458200000000000","attributes":[
{"key":"openinference.span.kind","value":{"stringValue":"EMBEDDING"}},{"key":"embedding.embeddings.0.embedding.text","value":{"stringValue":"q"}},
{"key":"embedding.embeddings.0.embedding.vector","value":{"arrayValue":{"values":[{"doubleValue":0.5}]}}}]}]}]}]}"#;

#[test]
#[ignore = "writes the seeds"]
fn write_the_seeds_of_spans_tables_and_runs() {
    seed("spans_json", "every-convention", SPANS);
    let request = otlp::parse(SPANS.as_bytes(), otlp::Encoding::Json).unwrap();
    seed("spans_protobuf", "every-convention", request.encode_to_vec());
    let columns: [(&str, ArrayRef); 3] = [
        ("occurred_at", Arc::new(TimestampMillisecondArray::from(vec![1_763_458_200_000]))),
        ("corpus", Arc::new(StringArray::from(vec!["wiki"]))),
        ("query_fingerprint", Arc::new(["f"].into_iter().collect::<DictionaryArray<Int8Type>>())),
    ];
    let columns = RecordBatch::try_from_iter(columns).unwrap();
    let text = "a text that is too long for a view";
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec![Some(text), None]));
    let words = DictionaryArray::new(Int8Array::from(vec![0, 0]), Arc::new(StringViewArray::from(vec![text])));
    let views: [(&str, ArrayRef, bool); 2] = [("corpus", texts, true), ("query_fingerprint", Arc::new(words), true)];
    let views = RecordBatch::try_from_iter_with_nullable(views).unwrap();
    let event = Stored {
        received_at: "2026-11-18T10:00:00Z".parse().unwrap(),
        ingest: Ingest::Live,
        event: match decode_with_text(RETRIEVAL) {
            Event::Retrieval(event) => event,
            Event::Output(_) => panic!("an output"),
        },
    };
    let every = retrievals::encode(&[event]).unwrap();
    for (name, batch) in [("columns", &columns), ("every-column", &every), ("views", &views)] {
        let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
        writer.write(batch).unwrap();
        writer.finish().unwrap();
        seed("arrow_stream", name, writer.into_inner().unwrap());
        let mut writer = FileWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
        writer.write(batch).unwrap();
        writer.finish().unwrap();
        seed("arrow_file", name, writer.into_inner().unwrap());
    }
    seed("trec_run", "two-queries", "1 Q0 a 1 0.5 t\n1 Q0 b 2 0.25 t\n\n2 Q0 a 0 1e3 t\r\n2 Q0 b 0 2 t\n3 Q0 c\n");
}

fn decode_with_text(json: &str) -> Event {
    let keys = FingerprintKey::new([7; 32]).into();
    let policy = Policy::verbatim();
    let context = Context { now: None, keys: &keys, policy: &policy, limits: Limits::default() };
    decode(json.as_bytes(), Kind::Retrieval, &context).unwrap()
}

#[test]
#[ignore = "writes the seeds"]
fn write_the_seeds_of_times_and_ids() {
    let texts = [
        ("time", "2026-11-18T09:30:00.123456Z"),
        ("zone", "2026-11-18T23:59:60.5-23:59"),
        ("lower-case", "2026-11-18t09:30:00z"),
        ("date", "2026-11-18"),
        ("year-9999", "9999-12-31T00:00:00Z"),
        ("negative-year", "-262143-01-01"),
        ("large-year", "+262142-12-31"),
        ("uuid", "01931f7c-4a2e-7b1c-9d55-2f1f0e6c1a10"),
        ("urn", "urn:uuid:01931F7C-4A2E-7B1C-9D55-2F1F0E6C1A10"),
        ("braces", "{01931f7c4a2e7b1c9d552f1f0e6c1a10}"),
        ("simhash", "0123456789abcdef"),
        ("signed-simhash", "+123456789abcdef"),
        ("root", "b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        ("name", "team/handbook v2"),
        ("dots", "a/../b"),
        ("backslash", "..\\windows"),
        ("unicode", "ŒUVRE Ⅳ ﬃ İ ß ͅ ᾳ 𝕏 A\u{30a} \u{feff}\u{202e}\u{85}\u{a0}\u{1680}"),
        ("folding", "\u{345}\u{1fb3}\u{1e9e}\u{149}\u{390}\u{3b0}\u{fb06}\u{0130}"),
        ("json-text", "\"\\u0041\\ud83d\\ude00\""),
        ("json-number", "-1.7976931348623157e308"),
        ("json-integer", "18446744073709551615"),
        ("empty", ""),
    ];
    for (name, text) in texts {
        seed("timestamp_and_ids", name, text);
    }
    for (name, micros) in
        [("micros", 1_893_456_000_123_456_i64), ("earliest", 946_684_800_000_000), ("lowest", i64::MIN)]
    {
        seed("timestamp_and_ids", name, micros.to_le_bytes());
    }
}
