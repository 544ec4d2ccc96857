//! Questions in SQL: they read the two tables and nothing else, and rows, bytes, memory and time are bounded.
//!
//! The text comes from outside, so nothing of it is trusted: only queries are planned, the catalog holds the two tables at
//! their newest version and no files, and a plan may be as deep as its text is long, so it is made on a thread with a stack
//! for that ([`STACK_BYTES`]). An event that was sent again while its first copy was still on the way may be counted twice
//! until its partition is merged: `count(DISTINCT event_id)` counts events.

use std::time::Duration;

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::error::DataFusionError;
use deltalake::datafusion::execution::context::SQLOptions;
use deltalake::datafusion::logical_expr::LogicalPlan;
use deltalake::datafusion::prelude::SessionContext;
use futures::StreamExt;

use crate::error::Error;
use crate::table::{Lake, Table};

/// What a question may take. Its memory is that of all reads of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// Bytes of the question. Planning does not stop in its middle when the time is over, and the time that it takes grows
    /// with more than the square of the operators in a chain; so the text has to be short.
    pub text_bytes: usize,
    /// Rows of the answer; further ones are left out.
    pub rows: usize,
    /// Bytes of the answer in memory; further rows are left out.
    pub bytes: usize,
    /// How long it may take.
    pub time: Duration,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self { text_bytes: 4 * 1024, rows: 100_000, bytes: 32 * 1024 * 1024, time: Duration::from_secs(30) }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct SqlAnswer {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows.
    pub batches: Vec<RecordBatch>,
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
    pub async fn sql(&self, text: &str, limits: SqlLimits) -> Result<SqlAnswer, SqlError> {
        if text.len() > limits.text_bytes {
            let reason = format!("{} bytes of text, the limit is {}", text.len(), limits.text_bytes);
            return Err(SqlError::Limit(reason));
        }
        let session = SessionContext::new_with_config_rt(self.session.copied_config(), self.session.runtime_env());
        for table in Table::ALL {
            let delta = self.load(table).await?;
            let provider = table.provider(&delta, &session).await?;
            session.register_table(table.name(), provider).map_err(|source| table.read_error(source))?;
        }
        let text = text.to_owned();
        on_deep_stack(move || async move {
            let late = format!("more than {} s", limits.time.as_secs_f64());
            let answer = tokio::time::timeout(limits.time, answer(&session, &text, limits)).await;
            answer.map_err(|_| SqlError::Limit(late))?
        })
        .await
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

async fn answer(session: &SessionContext, text: &str, limits: SqlLimits) -> Result<SqlAnswer, SqlError> {
    let plan = session.state().create_logical_plan(text).await.map_err(explain)?;
    // Plans of queries tell of files and of the machine.
    if matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_)) {
        return Err(SqlError::Query("EXPLAIN is not supported".to_owned()));
    }
    let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    read_only.verify_plan(&plan).map_err(explain)?;
    let frame = session.execute_logical_plan(plan).await.map_err(explain)?;
    let mut rows = frame.execute_stream().await.map_err(explain)?;
    let mut answer = SqlAnswer { schema: rows.schema(), batches: Vec::new(), truncated: false };
    let (mut count, mut bytes) = (0, 0);
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(explain)?;
        let kept = batch.num_rows().min(limits.rows - count);
        bytes += batch.get_array_memory_size();
        if kept < batch.num_rows() || bytes > limits.bytes {
            answer.truncated = true;
            if bytes <= limits.bytes {
                answer.batches.push(batch.slice(0, kept));
            }
            break;
        }
        count += kept;
        answer.batches.push(batch);
    }
    Ok(answer)
}

/// Whose fault an error is: the question's, its size's, or the store's.
fn explain(error: DataFusionError) -> SqlError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => {
            SqlError::Limit("more memory than a query may take; ask for fewer columns, rows or groups".to_owned())
        }
        DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_)
        | DataFusionError::ParquetError(_)
        | DataFusionError::External(_) => {
            SqlError::Store(Error::Read { table: "retrievals or outputs", source: Box::new(error) })
        }
        root => SqlError::Query(root.strip_backtrace()),
    }
}

impl SqlAnswer {
    /// As an Arrow IPC stream.
    pub fn to_arrow_stream(&self) -> Result<Vec<u8>, SqlError> {
        let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &self.schema).map_err(SqlError::Write)?;
        self.batches.iter().try_for_each(|batch| writer.write(batch)).map_err(SqlError::Write)?;
        writer.into_inner().map_err(SqlError::Write)
    }

    /// The rows as one JSON array of objects, with every column in each.
    pub fn to_json(&self) -> Result<Vec<u8>, SqlError> {
        let builder = arrow_json::WriterBuilder::new().with_explicit_nulls(true);
        let mut writer = builder.build::<_, arrow_json::writer::JsonArray>(Vec::new());
        self.batches.iter().try_for_each(|batch| writer.write(batch)).map_err(SqlError::Write)?;
        writer.finish().map_err(SqlError::Write)?;
        Ok(writer.into_inner())
    }
}
