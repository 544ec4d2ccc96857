use std::sync::Arc;

use strum::VariantArray;
use tempfile::TempDir;
use tidemark_analyzer::{Options, Segment};
use tidemark_corpus::{NewVersion, Qrels, encode_ndjson};
use tidemark_lake::{Location, SqlForm, SqlLimits};
use tidemark_schema::{ErrorKind, ManualClock, TenantName, Timestamp};

use super::*;

const NOW: &str = "2026-11-18T10:00:00Z";

fn operations() -> (TempDir, Operations) {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::parse(directory.path().join("store").to_str().unwrap(), std::iter::empty()).unwrap();
    let directories = LocalDirectories { state: None, keys: Some(directory.path().join("keys")) };
    let clock = Arc::new(ManualClock::at(NOW.parse().unwrap()));
    (directory, Operations::on(location, directories, clock).unwrap())
}

fn tenant(name: &str) -> TenantName {
    name.parse().unwrap()
}

/// What an action comes to; a new action does not compile until it stands here.
async fn perform(operations: &Operations, caller: &Caller, action: Action) -> Result<(), Error> {
    let (corpus, version) = ("handbook".parse().unwrap(), "v1".parse().unwrap());
    let everything = export::Selection::Outputs { between: None };
    let source = import::Source::File("/dev/null".into());
    let ids = ["a", "b"].map(|id| id.parse().unwrap());
    let [trace, other] = ids;
    match action {
        Action::IngestEvents => operations.ready_to_ingest(caller),
        Action::ImportEvents => operations.import(caller, &source, &import::Options::default(), |_| {}).await.map(drop),
        Action::ExportEvents => {
            operations.export(caller, &everything, export::Format::Ndjson, Vec::new()).await.map(drop)
        }
        Action::ShowTrace => operations.trace(caller, &trace, 10).await.map(drop),
        Action::DiffTrace => operations.diff(caller, trace, Some(other), None).await.map(drop),
        Action::CompareWindows => {
            let now = NOW.parse().unwrap();
            let windows = ["version:v1", "version:v2"];
            let comparison = Comparison::new(&corpus, windows, Segment::default(), Options::default(), now).unwrap();
            operations.compare(caller, comparison).await.map(drop)
        }
        Action::QueryTables => {
            operations.query(caller, "SELECT 1", SqlForm::Json, SqlLimits::default()).await.map(drop)
        }
        Action::CountEvents => operations.count_events(caller, &"alice".parse().unwrap()).await.map(drop),
        Action::EraseEvents => operations.erase(caller, &"alice".parse().unwrap()).await.map(drop),
        Action::ListVersions => operations.versions(caller, None).await.map(drop),
        Action::ShowVersion => operations.version(caller, &corpus, &version).await.map(drop),
        Action::DiffVersions => operations.diff_versions(caller, &corpus, [&version, &version]).await.map(drop),
        Action::RegisterVersion => {
            let manifest = encode_ndjson(&br#"{"doc_id":"a","content_hash":"b3:1"}"#[..], 10).unwrap();
            let new = NewVersion::named(corpus, version, NOW.parse().unwrap());
            operations.register_version(caller, new, manifest).await.map(drop)
        }
        Action::PutQrels => {
            let qrels = Qrels::read_trec(&b"q 0 a 1\n"[..]).unwrap();
            operations.put_qrels(caller, &corpus, &qrels).await
        }
        Action::ShowStorage => operations.storage(caller).await.map(drop),
        Action::ExamineStore => operations.examine(caller).await.map(drop),
        Action::MaintainStore => operations.maintain(caller, &|| true).await.map(drop),
        Action::VerifyStore => operations.verify(caller, None, |_| {}).await.map(drop),
        Action::QuarantineFiles => {
            let found = Verification { tables: Vec::new(), ..nothing_found() };
            operations.quarantine(caller, &found).await.map(drop)
        }
        Action::ShowPolicy => operations.effective_policy(caller, None, None).map(drop),
        Action::ReadAudit => operations.newest_records(caller, None, 10).await.map(drop),
        Action::ShowKeys => operations.keys(caller).await.map(drop),
        Action::RotateKeys => operations.rotate_keys(caller).await.map(drop),
        Action::ForgetKey => operations.forget_previous_key(caller).await.map(drop),
    }
}

fn nothing_found() -> Verification {
    Verification {
        intact: true,
        at: Timestamp::MIN,
        last_intact_at: None,
        tables: Vec::new(),
        uncommitted: Vec::new(),
        manifests: 0,
        damaged_manifests: Vec::new(),
        audit_records: 0,
        audit_breaks: Vec::new(),
        audit_head: String::new(),
    }
}

fn denied(result: &Result<(), Error>) -> bool {
    matches!(result, Err(error) if error.kind() == ErrorKind::Forbidden)
}

/// INV-11, as far as callers are known: whoever lacks a right is refused before anything is read, and no other right helps.
#[tokio::test(flavor = "multi_thread")]
async fn each_action_needs_its_own_right_and_no_other() {
    let (_directory, operations) = operations();
    let operator = Caller::operator("test", TenantName::default());
    operations.create_store(&operator).await.unwrap();
    for action in Action::VARIANTS.iter().copied() {
        let others = Action::VARIANTS.iter().copied().filter(|other| *other != action);
        let caller = Caller { rights: Rights::only(others), ..operator.clone() };
        let result = perform(&operations, &caller, action).await;
        assert!(denied(&result), "{action:?} without its right gave {result:?}");
        let caller = Caller { rights: Rights::only([action]), ..operator.clone() };
        let result = perform(&operations, &caller, action).await;
        assert!(!denied(&result), "{action:?} with its right gave {result:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_who_may_not_do_what() {
    let (_directory, operations) = operations();
    let nobody = Caller {
        principal: Some("alice".parse().unwrap()),
        rights: Rights::only([]),
        ..Caller::operator("test", TenantName::default())
    };
    let refusal = perform(&operations, &nobody, Action::EraseEvents).await.unwrap_err();
    assert_eq!(refusal.to_string(), "alice may not erase events");
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_share_neither_tables_nor_registry_nor_evidence() {
    let (directory, operations) = operations();
    let file = directory.path().join("events.ndjson");
    let event = r#"{"event_id":"e1","occurred_at":"2026-11-18T09:30:00Z","operation_id":"op","trace_id":"t","principal":"alice","corpus":"handbook","query":{"text":"badge"},"results":[{"doc_id":"a"}]}"#;
    std::fs::write(&file, event).unwrap();
    let source = import::Source::File(file);
    let (ours, acme) = (Caller::operator("test", TenantName::default()), Caller::operator("test", tenant("acme")));
    let imported = operations.import(&acme, &source, &import::Options::default(), |_| {}).await.unwrap();
    assert_eq!(imported.retrievals, 1);
    operations.create_store(&ours).await.unwrap();
    let id = "t".parse().unwrap();
    assert_eq!(operations.trace(&acme, &id, 10).await.unwrap().retrievals.len(), 1);
    assert!(matches!(operations.trace(&ours, &id, 10).await, Err(Error::NoTrace(_))));
    let count = |answer: tidemark_lake::SqlAnswer| String::from_utf8(answer.content).unwrap();
    let question = "SELECT count(*) AS n FROM retrievals";
    for (caller, expected) in [(&acme, r#"[{"n":1}]"#), (&ours, r#"[{"n":0}]"#)] {
        let answer = operations.query(caller, question, SqlForm::Json, SqlLimits::default()).await.unwrap();
        assert_eq!(count(answer), expected);
    }
    perform(&operations, &acme, Action::RegisterVersion).await.unwrap();
    assert_eq!(operations.versions(&ours, None).await.unwrap(), []);
    let erased = operations.erase(&ours, &"alice".parse().unwrap()).await.unwrap();
    assert_eq!(erased.rows, 0, "the events of another tenant's principal of that name stay");
    assert!(operations.verify(&acme, None, |_| {}).await.unwrap().intact);
    assert_eq!(operations.erase(&acme, &"alice".parse().unwrap()).await.unwrap().rows, 1);
    for (caller, named) in [(&ours, Value::Null), (&acme, Value::from("acme"))] {
        let records = operations.newest_records(caller, Some("erasure"), 10).await.unwrap().records;
        let tenants: Vec<_> = records.iter().map(|record| record.detail["tenant"].clone()).collect();
        assert_eq!(tenants, [named], "a tenant sees its own records alone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_reaches_every_tenant() {
    let (_directory, operations) = operations();
    for name in ["default", "acme"] {
        operations.create_store(&Caller::operator("test", tenant(name))).await.unwrap();
    }
    let server = Caller::operator("test", TenantName::default());
    assert_eq!(operations.maintain_all(&server, &|| true).await.unwrap().len(), 2);
}
