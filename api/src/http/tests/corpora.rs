use insta::{assert_json_snapshot, assert_snapshot};

use super::*;
use crate::http::Limits;

const V1: &str = "{\"doc_id\":\"a\",\"content_hash\":\"b3:1\"}\n{\"doc_id\":\"b\",\"content_hash\":\"b3:2\"}\n";
const V2: &str = "{\"doc_id\":\"b\",\"content_hash\":\"b3:3\"}\n{\"doc_id\":\"c\",\"content_hash\":\"b3:4\"}\n";
const VERSIONS: &str = "/v1/corpora/team%2Fhandbook/versions";

#[tokio::test]
async fn a_version_is_registered_once_and_never_changes() {
    let server = server().await;
    let path = format!("{VERSIONS}/v1?embedder=minilm&source=nightly&parent=");
    let new = server.post(&path, V1).await;
    assert_eq!((new.status, new.header("location")), (201, "/v1/corpora/team%2Fhandbook/versions/v1"));
    assert_json_snapshot!(new.json(), @r#"
    {
      "already_registered": false,
      "kept": [],
      "record": {
        "corpus": "team/handbook",
        "created_at": "2026-11-18T10:00:00Z",
        "creator": null,
        "embedder": "minilm",
        "entries": 2,
        "index": null,
        "index_params": {},
        "parent": null,
        "root": "b3:46ded6d1f28bac3a0a428178098361f0a6e00fe8840e19aea585197053d89d52",
        "source": "nightly",
        "state": "registered",
        "version": "v1"
      }
    }
    "#);

    let again = server.post(&format!("{VERSIONS}/v1?embedder=other"), V1).await;
    assert_eq!((again.status, &again.json()["kept"][0]), (200, &"embedder".into()));
    let other = server.post(&format!("{VERSIONS}/v1"), V2).await;
    assert!(other.refusal().starts_with("409 conflict: version v1 of the corpus team/handbook"), "{}", other.text);
    assert_eq!(server.get(&format!("{VERSIONS}/v1")).await.json(), new.json()["record"]);
    assert_snapshot!(server.get(&format!("{VERSIONS}/v3")).await.refusal(), @"404 not-found: the corpus team/handbook has no version v3");
    assert_snapshot!(server.post(&format!("{VERSIONS}/v2?parent=v0"), V2).await.refusal(), @"422 invalid: the parent version v0 of the corpus team/handbook is not registered");
}

#[tokio::test]
async fn a_manifest_comes_as_ndjson_plain_or_compressed() {
    let server = server().await;
    let register = async |version: &str, body: Vec<u8>| server.post(&format!("{VERSIONS}/{version}"), body).await;
    let roots = [
        register("plain", V1.into()).await.json()["record"]["root"].clone(),
        register("gzip", gzip(V1.as_bytes())).await.json()["record"]["root"].clone(),
        register("zstd", zstd(V1.as_bytes())).await.json()["record"]["root"].clone(),
    ];
    assert!(roots[0].is_string() && roots.iter().all(|root| *root == roots[0]), "{roots:?}");
    assert_snapshot!(register("x", Vec::new()).await.refusal(), @"400 malformed: the body is empty");
    assert_snapshot!(register("x", "{\"doc_id\":\"a\"}".into()).await.refusal(), @"422 invalid: line 1 of the manifest: content_hash: is required and missing");
    assert_snapshot!(register("x", gzip(V1.as_bytes())[..30].into()).await.refusal(), @"400 malformed: the body cannot be decompressed");
}

#[tokio::test]
async fn a_manifest_in_parquet_is_refused_with_the_way_to_register_it() {
    let server = server().await;
    for body in [b"PAR1\x15\x04".to_vec(), gzip(b"PAR1\x15\x04")] {
        let answer = server.post(&format!("{VERSIONS}/v1"), body).await;
        let refusal = answer.refusal();
        assert!(refusal.starts_with("415 unsupported-media-type: the body is Parquet"), "{refusal}");
        let hint = answer.json()["hint"].as_str().unwrap().to_owned();
        assert!(hint.contains("`tidemark corpus register` on the machine of the store"), "{hint}");
    }
}

#[tokio::test]
async fn a_manifest_beyond_its_limits_is_refused() {
    let limits =
        Limits { manifest_body_bytes: 1_000, manifest_content_bytes: 2_000, manifest_entries: 3, ..Limits::default() };
    let server = server_with(Options { limits, ..Options::default() }).await;
    let path = format!("{VERSIONS}/v1");
    assert_snapshot!(server.post(&path, "x".repeat(1_001)).await.refusal(), @"413 too-large: the body is larger than 1000 bytes");
    assert_snapshot!(server.post(&path, gzip(&b"\n".repeat(100_000))).await.refusal(), @"413 too-large: the manifest is larger than 2000 bytes after decompression");
    let four = V1.to_owned() + &V2.replace("\"b\"", "\"d\"");
    assert_snapshot!(server.post(&path, four).await.refusal(), @"413 too-large: the manifest has more than 3 entries");
}

#[tokio::test]
async fn versions_are_listed_page_by_page() {
    let server = server().await;
    assert_snapshot!(server.get(VERSIONS).await.refusal(), @"404 not-found: no version of corpus team/handbook is registered");
    for version in ["v1", "v2", "v3"] {
        server.post(&format!("{VERSIONS}/{version}"), V1).await;
    }
    let names = |page: &Value| {
        let versions = page["versions"].as_array().unwrap();
        versions.iter().map(|record| record["version"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    let first = server.get(&format!("{VERSIONS}?limit=2")).await.json();
    assert_eq!((names(&first).as_str(), &first["next_cursor"]), ("v1 v2", &"v2".into()));
    let second = server.get(&format!("{VERSIONS}?limit=2&cursor=v2")).await.json();
    assert_eq!((names(&second).as_str(), second.get("next_cursor")), ("v3", None));
    assert_snapshot!(server.get(&format!("{VERSIONS}?cursor=v9")).await.refusal(), @"422 invalid: cursor is none of this list");
}

#[tokio::test]
async fn two_versions_are_compared() {
    let server = server().await;
    server.post(&format!("{VERSIONS}/v1"), V1).await;
    server.post(&format!("{VERSIONS}/v2?parent=v1"), V2).await;
    let diff = server.get("/v1/corpora/team%2Fhandbook/diff?from=v1&to=v2").await.json();
    assert_json_snapshot!(diff, @r#"
    {
      "added": 1,
      "examples": {
        "added": [
          "c"
        ],
        "modified": [
          "b"
        ],
        "removed": [
          "a"
        ]
      },
      "modified": 1,
      "removed": 1,
      "rescoped": 0,
      "revectored": 0,
      "unchanged": 0
    }
    "#);
    let counts = server.get("/v1/corpora/team%2Fhandbook/diff?from=v1&to=v2&examples=0").await.json();
    assert_eq!((&counts["added"], &counts["examples"]["added"]), (&1.into(), &Value::Array(Vec::new())));
}
