//! Questions in SQL: they read the two tables and nothing else, and rows, bytes, memory, disk and time are bounded.
//!
//! The text comes from outside, so nothing of it is trusted: only queries are planned, the catalog holds the two tables at
//! their newest version and no files, and a plan may be as deep as its text is long, so it is made on a thread with a stack
//! for that ([`STACK_BYTES`]). An event that was sent again while its first copy was still on the way may be counted twice
//! until its partition is merged: `count(DISTINCT event_id)` counts events.

mod answer;
mod growth;

use std::time::Duration;

use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::error::DataFusionError;
use deltalake::datafusion::execution::context::SQLOptions;
use deltalake::datafusion::execution::runtime_env::RuntimeEnvBuilder;
use deltalake::datafusion::prelude::SessionContext;
use futures::StreamExt;

use crate::error::Error;
use crate::table::{Lake, Table};
use answer::AnswerWriter;

/// What a question may take. Its memory is that of all reads of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// Bytes of the question. Planning does not stop in its middle when the time is over, and the time that it takes grows
    /// with more than the square of the operators in a chain; so the text has to be short.
    pub text_bytes: usize,
    /// Rows of the answer; further ones are left out.
    pub rows: usize,
    /// Bytes of the answer as it is sent; further rows are left out.
    pub bytes: usize,
    /// Bytes that it may put aside on disk while it sorts and aggregates.
    pub spill_bytes: u64,
    /// How long it may take.
    pub time: Duration,
}

impl Default for SqlLimits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            text_bytes: 4 * 1024,
            rows: 100_000,
            bytes: 32 * MIB,
            spill_bytes: 1024 * MIB as u64,
            time: Duration::from_secs(30),
        }
    }
}

/// In which form an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlForm {
    /// One JSON array of objects, with every column in each.
    Json,
    /// An Arrow IPC stream.
    ArrowStream,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct SqlAnswer {
    /// The names of its columns.
    pub columns: Vec<String>,
    /// Its rows, in the form that was asked for.
    pub content: Vec<u8>,
    /// Whether rows were left out because there are more than the limits allow.
    pub truncated: bool,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// It cannot be planned or computed: the question is wrong.
    #[error("the query cannot be answered: {0}")]
    Query(String),
    /// It takes more than it may.
    #[error("the query needs {0}")]
    Limit(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// The answer could not be written.
    #[error("the answer could not be written")]
    Write(#[source] ArrowError),
    /// The thread that works on it could not be started, or ended early.
    #[error("the work on the query was cut off")]
    Thread,
}

/// Each operator in a chain of them is a level of the plan, and a level takes kilobytes where code is not optimised. The
/// pages are taken from the system only where they are used.
const STACK_BYTES: usize = 256 * 1024 * 1024;

impl Lake {
    /// Answers a question at the newest version of the tables, which it knows as `retrievals` and `outputs`.
    pub async fn sql(&self, text: &str, form: SqlForm, limits: SqlLimits) -> Result<SqlAnswer, SqlError> {
        if text.len() > limits.text_bytes {
            let reason = format!("{} bytes of text, the limit is {}", text.len(), limits.text_bytes);
            return Err(SqlError::Limit(reason));
        }
        let session = self.sql_session(limits)?;
        for table in Table::ALL {
            let delta = self.load(table).await?;
            let provider = table.provider(&delta, &session).await?;
            session.register_table(table.name(), provider).map_err(|source| table.read_error(source))?;
        }
        let text = text.to_owned();
        on_deep_stack(move || async move {
            let late = format!("more than {} s", limits.time.as_secs_f64());
            let answer = tokio::time::timeout(limits.time, answer(&session, &text, form, limits)).await;
            answer.map_err(|_| SqlError::Limit(late))?
        })
        .await
    }

    /// The memory is that of all reads; the disk is counted for each question.
    fn sql_session(&self, limits: SqlLimits) -> Result<SessionContext, SqlError> {
        let runtime = RuntimeEnvBuilder::from_runtime_env(&self.session.runtime_env());
        let runtime = runtime.with_max_temp_directory_size(limits.spill_bytes).build_arc().map_err(explain)?;
        let mut config = self.session.copied_config();
        // They repeat a step without a bound.
        config.options_mut().execution.enable_recursive_ctes = false;
        let session = SessionContext::new_with_config_rt(config, runtime);
        growth::restrict(&session);
        Ok(session)
    }
}

/// Runs work on a thread with a stack of [`STACK_BYTES`], which ends with it.
async fn on_deep_stack<F>(work: impl FnOnce() -> F + Send + 'static) -> Result<SqlAnswer, SqlError>
where
    F: Future<Output = Result<SqlAnswer, SqlError>>,
{
    let (reply, answer) = tokio::sync::oneshot::channel();
    let body = move || {
        // Made here: a runtime must not be dropped inside of another, which a thread that cannot be started would do.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let answer = runtime.map_err(|_| SqlError::Thread).and_then(|runtime| runtime.block_on(work()));
        // Nobody waits for the answer any more when sending fails.
        drop(reply.send(answer));
    };
    let thread = std::thread::Builder::new().name("tidemark-sql".to_owned()).stack_size(STACK_BYTES);
    thread.spawn(body).map_err(|_| SqlError::Thread)?;
    answer.await.map_err(|_| SqlError::Thread)?
}

async fn answer(session: &SessionContext, text: &str, form: SqlForm, limits: SqlLimits) -> Result<SqlAnswer, SqlError> {
    let state = session.state();
    let statement = state.sql_to_statement(text, &state.config_options().sql_parser.dialect).map_err(explain)?;
    growth::check_statement(&statement)?;
    let plan = state.statement_to_plan(statement).await.map_err(explain)?;
    growth::check_plan(&plan)?;
    let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    read_only.verify_plan(&plan).map_err(explain)?;
    let frame = session.execute_logical_plan(plan).await.map_err(explain)?;
    let mut batches = frame.execute_stream().await.map_err(explain)?;
    let schema = batches.schema();
    let mut writer = AnswerWriter::new(form, &schema, limits.bytes).map_err(SqlError::Write)?;
    let (mut left, mut truncated) = (limits.rows, false);
    while !truncated && let Some(batch) = batches.next().await {
        let batch = batch.map_err(explain)?;
        let rows = batch.slice(0, batch.num_rows().min(left));
        left -= rows.num_rows();
        truncated = !writer.write(&rows)? || rows.num_rows() < batch.num_rows();
    }
    let columns = schema.fields().iter().map(|field| field.name().clone()).collect();
    Ok(SqlAnswer { columns, content: writer.finish()?, truncated })
}

/// Whose fault an error is: the question's, its size's, or the store's.
fn explain(error: DataFusionError) -> SqlError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => {
            let reason = "more memory or disk than a query may take; ask for fewer columns, rows or groups";
            SqlError::Limit(reason.to_owned())
        }
        DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_)
        | DataFusionError::ParquetError(_)
        | DataFusionError::External(_) => {
            SqlError::Store(Error::Read { table: "retrievals or outputs", source: Box::new(error) })
        }
        root => {
            let reason = root.strip_backtrace();
            SqlError::Query(growth::refusal(&reason).unwrap_or(reason))
        }
    }
}
