//! Questions in SQL.

use tidemark_lake::{SqlAnswer, SqlForm, SqlLimits};

use super::{Action, Caller, Error, Operations};

impl Operations {
    /// Asks the tables of the caller's tenant; read only, and bounded by `limits`.
    pub async fn query(
        &self,
        caller: &Caller,
        query: &str,
        form: SqlForm,
        limits: SqlLimits,
    ) -> Result<SqlAnswer, Error> {
        let store = self.store(caller, Action::QueryTables).await?;
        Ok(store.lake.sql(query, form, limits).await?)
    }
}
