use std::sync::Arc;

use deltalake::arrow::datatypes::SchemaRef;
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::error::DataFusionError;
use deltalake::datafusion::execution::runtime_env::RuntimeEnvBuilder;
use deltalake::datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::{StructField, StructType};
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, DeltaTableError};
use tidemark_schema::columns;

use crate::error::Error;
use crate::evidence::Chain;
use crate::location::Location;

/// One of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// One row per retrieval event.
    Retrievals,
    /// One row per output event.
    Outputs,
}

impl Table {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Retrievals, Self::Outputs];

    /// Its name, which is also its directory in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retrievals => "retrievals",
            Self::Outputs => "outputs",
        }
    }

    /// Its columns.
    pub fn schema(self) -> Result<SchemaRef, Error> {
        let schema = match self {
            Self::Retrievals => columns::retrievals::schema(),
            Self::Outputs => columns::outputs::schema(),
        };
        schema.map_err(|source| Error::Layout { table: self.name(), source })
    }

    fn fields(self) -> Result<Vec<StructField>, Error> {
        let layout = |source| Error::Layout { table: self.name(), source };
        let schema: StructType = self.schema()?.as_ref().try_into_kernel().map_err(layout)?;
        Ok(schema.fields().cloned().collect())
    }

    /// What a session reads the table through, in the state in which it was loaded.
    pub(crate) async fn provider(
        self,
        delta: &DeltaTable,
        session: &SessionContext,
    ) -> Result<Arc<dyn TableProvider>, Error> {
        delta.update_datafusion_session(&session.state()).map_err(|source| self.open_error(source))?;
        // It reads as the session does: texts as they are stored, rows that are filtered out never decoded in full.
        let provider = delta.table_provider().with_session(Arc::new(session.state()));
        provider.await.map_err(|source| self.read_error(source))
    }

    pub(crate) fn partition_columns(self) -> &'static [&'static str] {
        match self {
            Self::Retrievals => &columns::PARTITIONED_BY_CORPUS,
            Self::Outputs => &columns::PARTITIONED_BY_DATE,
        }
    }

    /// The columns whose minimum and maximum are kept per file, so that a file that cannot match is never opened.
    fn skipping_columns(self) -> &'static str {
        match self {
            Self::Retrievals => "occurred_at,received_at,query_fingerprint,corpus_version",
            Self::Outputs => "occurred_at,received_at",
        }
    }

    /// The order of the rows in a file.
    pub(crate) fn sort_columns(self) -> &'static [&'static str] {
        match self {
            Self::Retrievals => &["query_fingerprint", "occurred_at", "event_id"],
            Self::Outputs => &["operation_id", "occurred_at", "event_id"],
        }
    }

    pub(crate) fn read_error(self, source: DataFusionError) -> Error {
        Error::Read { table: self.name(), source: Box::new(source) }
    }

    pub(crate) fn open_error(self, source: DeltaTableError) -> Error {
        Error::Open { table: self.name(), source: Box::new(source) }
    }
}

/// The two tables of a store, and the session that reads them.
pub struct Lake {
    pub(crate) location: Location,
    pub(crate) session: SessionContext,
    /// What is known of the chain of evidence of each table, so that it is not read again for each commit.
    pub(crate) chains: [tokio::sync::Mutex<Option<Chain>>; 2],
    /// The tables as they were loaded last: from there only what is new has to be read.
    loaded: [std::sync::Mutex<Option<DeltaTable>>; 2],
}

/// What one reader may hold in memory, in bytes; sorts and aggregations beyond it spill to disk.
const READ_MEMORY_BYTES: usize = 96 * 1024 * 1024;
/// Rows of a batch: a row holds a whole ranking.
pub(crate) const BATCH_ROWS: usize = 1_024;

impl Lake {
    /// Opens a store and makes what is missing.
    pub async fn create(location: Location) -> Result<Self, Error> {
        location.create()?;
        let lake = Self::with_session(location)?;
        for table in Table::ALL {
            match lake.try_load(table).await? {
                Some(delta) => lake.add_missing_columns(table, delta).await?,
                None => lake.create_table(table).await?,
            }
        }
        Ok(lake)
    }

    /// Opens a store that must be there already.
    pub async fn open(location: Location) -> Result<Self, Error> {
        let lake = Self::with_session(location)?;
        for table in Table::ALL {
            lake.load(table).await?;
        }
        Ok(lake)
    }

    /// Where it lies.
    pub fn location(&self) -> &Location {
        &self.location
    }

    fn with_session(location: Location) -> Result<Self, Error> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(READ_MEMORY_BYTES, 1.0)
            .build_arc()
            .map_err(|source| Table::Retrievals.read_error(source))?;
        // What reads the rows is one consumer; more partitions and larger batches would only be held in memory before it.
        let config = SessionConfig::new()
            .with_information_schema(false)
            .with_target_partitions(1)
            .with_batch_size(BATCH_ROWS)
            .set_bool("datafusion.execution.parquet.pushdown_filters", true)
            .set_bool("datafusion.execution.parquet.schema_force_view_types", false);
        Ok(Self {
            location,
            session: SessionContext::new_with_config_rt(config, runtime),
            chains: Default::default(),
            loaded: Default::default(),
        })
    }

    /// The newest state of a table.
    pub(crate) async fn load(&self, table: Table) -> Result<DeltaTable, Error> {
        self.try_load(table).await?.ok_or_else(|| Error::NoStore(self.location.to_string()))
    }

    async fn try_load(&self, table: Table) -> Result<Option<DeltaTable>, Error> {
        let known = self.loaded(table).lock().ok().and_then(|loaded| loaded.clone());
        let fresh = match known {
            Some(mut delta) => match delta.update_state().await {
                Ok(()) => Some(delta),
                // The log was shortened, or the store was made anew: read it from the beginning.
                Err(error) => {
                    tracing::debug!(table = table.name(), %error, "the table is loaded anew");
                    self.load_anew(table).await?
                }
            },
            None => self.load_anew(table).await?,
        };
        // Nobody waits for anybody here: whoever loaded last is the one who is remembered.
        if let Ok(mut loaded) = self.loaded(table).lock() {
            loaded.clone_from(&fresh);
        }
        Ok(fresh)
    }

    fn loaded(&self, table: Table) -> &std::sync::Mutex<Option<DeltaTable>> {
        match table {
            Table::Retrievals => &self.loaded[0],
            Table::Outputs => &self.loaded[1],
        }
    }

    async fn load_anew(&self, table: Table) -> Result<Option<DeltaTable>, Error> {
        let mut delta = match self.location.table(table.name())?.build() {
            Ok(delta) => delta,
            Err(DeltaTableError::InvalidTableLocation(_)) => return Ok(None),
            Err(source) => return Err(table.open_error(source)),
        };
        if !delta.verify_deltatable_existence().await.map_err(|source| table.open_error(source))? {
            return Ok(None);
        }
        delta.load().await.map_err(|source| table.open_error(source))?;
        Ok(Some(delta))
    }

    /// The newest version of a table: with a window, all that is needed to read the same rows again.
    pub async fn version(&self, table: Table) -> Result<u64, Error> {
        Ok(self.load(table).await?.version().unwrap_or_default())
    }

    /// What tells a table from every other one, those that were made anew at the same place included.
    pub async fn identity(&self, table: Table) -> Result<String, Error> {
        let delta = self.load(table).await?;
        let snapshot = delta.snapshot().map_err(|source| table.open_error(source))?;
        Ok(snapshot.metadata().id().to_owned())
    }

    /// Columns that came with a later version of this program are added to a table that an earlier one made.
    async fn add_missing_columns(&self, table: Table, delta: DeltaTable) -> Result<(), Error> {
        let open = |source| table.open_error(source);
        let present = delta.snapshot().map_err(open)?.schema();
        let missing: Vec<StructField> =
            table.fields()?.into_iter().filter(|field| present.field(field.name()).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        tracing::info!(table = table.name(), columns = missing.len(), "columns are added to the table");
        delta.add_columns().with_fields(missing).await.map(|_| ()).map_err(open)
    }

    async fn create_table(&self, table: Table) -> Result<(), Error> {
        let delta = self.location.table(table.name())?.build().map_err(|source| table.open_error(source))?;
        let made = delta
            .create()
            .with_table_name(table.name())
            .with_columns(table.fields()?)
            .with_partition_columns(table.partition_columns().iter().copied())
            .with_configuration([("delta.dataSkippingStatsColumns", Some(table.skipping_columns()))])
            // Two processes may start on the same empty store: whoever comes second finds the table made.
            .with_save_mode(SaveMode::Ignore)
            .await;
        made.map_err(|source| table.open_error(source))?;
        self.record_new_commits(table).await;
        Ok(())
    }
}
