//! `tidemark verify`

use std::io::Write;
use std::process::ExitCode;

use tidemark_api::operations::storage::size;
use tidemark_api::operations::{Quarantined, Verification};

use super::{Session, count, print, print_json, table};
use crate::arguments::{Format, StoreArguments, Verify};
use crate::failure::Failure;
use crate::progress;

pub(crate) async fn run(store: &StoreArguments, arguments: &Verify) -> Result<ExitCode, Failure> {
    let session = Session::of(store, "verify")?;
    let mut verification = verify(&session, arguments.head.as_deref()).await?;
    if arguments.set_aside {
        let quarantined = session.operations.quarantine(&session.caller, &verification).await?;
        for Quarantined { table, files, rows } in &quarantined {
            let (files, rows) = (count(*files), count(*rows));
            let said = format!("{table}: {files} damaged files with {rows} events were set aside\n");
            std::io::stderr().write_all(said.as_bytes())?;
        }
        if !quarantined.is_empty() {
            verification = verify(&session, arguments.head.as_deref()).await?;
        }
    }
    match arguments.format {
        Format::Json => print_json(&verification)?,
        Format::Text => print(&text(&verification))?,
    }
    Ok(if verification.intact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn verify(session: &Session, head: Option<&str>) -> Result<Verification, Failure> {
    let bar = progress::bytes("verifying", None);
    let verification = session.operations.verify(&session.caller, head, |bytes| bar.inc(bytes)).await;
    bar.finish_and_clear();
    Ok(verification?)
}

fn text(found: &Verification) -> String {
    let mut rows = vec![["table", "versions", "files", "size", "head of the chain"].map(str::to_owned).to_vec()];
    rows.extend(found.tables.iter().map(|table| {
        vec![
            table.table.to_owned(),
            format!("{} to {}", table.first_version, table.last_version),
            count(table.files),
            size(table.bytes),
            table.head.clone(),
        ]
    }));
    let mut text = table(&rows);
    text.push_str(&format!(
        "\n{} manifests, {} records of the audit log (head {})\n",
        count(found.manifests),
        count(found.audit_records),
        if found.audit_head.is_empty() { "none" } else { &found.audit_head }
    ));
    for table in &found.tables {
        for version in &table.erasures {
            text.push_str(&format!("  {}: events were erased on request with version {version}\n", table.table));
        }
        for version in &table.set_aside {
            text.push_str(&format!("  {}: damaged files were set aside with version {version}\n", table.table));
        }
        for version in &table.gaps {
            text.push_str(&format!(
                "  {}: evidence begins at version {version}; what was before is not covered\n",
                table.table
            ));
        }
    }
    if !found.uncommitted.is_empty() {
        text.push_str(&format!(
            "  {} files were left by interrupted writes; no reader sees them, and they are swept by themselves\n",
            count(found.uncommitted.len())
        ));
    }
    if found.intact {
        text.push_str("\neverything is as it was left\n");
        return text;
    }
    text.push_str("\nNOT AS IT WAS LEFT\n");
    for finding in found.tables.iter().flat_map(|table| &table.findings) {
        let kind = serde_json::to_value(finding.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
        text.push_str(&format!("! {}  {}: {}\n", kind.unwrap_or_default(), finding.path, finding.detail));
        if let Some(recorded) = finding.recorded_at {
            text.push_str(&format!("    recorded {recorded}\n"));
        }
        if let Some(since) = finding.since {
            text.push_str(&format!("    as it is now since {since}\n"));
        }
    }
    for manifest in &found.damaged_manifests {
        text.push_str(&format!("! manifest  {manifest}\n"));
    }
    for problem in &found.audit_breaks {
        text.push_str(&format!("! audit log  {problem}\n"));
    }
    if found.tables.iter().all(|table| table.contains_expected_head == Some(false)) {
        text.push_str(
            "! the head that was asked for is in no chain: the evidence was rewritten, or is of another store\n",
        );
    }
    match found.last_intact_at {
        Some(at) => text.push_str(&format!("\nlast found intact {at}\n")),
        None => text.push_str("\nnever found intact before from this machine\n"),
    }
    text.push_str(
        "what to do: restore the named files from a copy, or take them out with --set-aside so that the rest can be read\n",
    );
    text
}
