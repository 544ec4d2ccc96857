use std::collections::HashMap;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Once};

use deltalake::logstore::{
    LogStore, LogStoreFactory, ObjectStoreFactory, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories,
    object_store_factories,
};
use deltalake::{DeltaResult, DeltaTableBuilder, DeltaTableError};
use object_store::ObjectStore;
use object_store::path::Path;
use tidemark_schema::TenantName;
use url::Url;

use crate::error::Error;

/// Where a store lies: a local directory or a prefix in an object store.
///
/// Options of the object store (keys, region, endpoint) come from the environment, under the names that its clients use
/// (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_KEY`, …).
#[derive(Debug, Clone)]
pub struct Location {
    url: Url,
    options: HashMap<String, String>,
    /// Given by the caller in place of what the URL would open.
    store: Option<Arc<dyn ObjectStore>>,
}

/// Under this prefix lie the tenants with a name of their own.
const TENANTS: &str = "tenants";

/// The schemes that are served by the `object_store` crate beyond the local ones.
const CLOUD_SCHEMES: [&str; 8] = ["s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl"];

impl Location {
    /// Parses a directory or URL. `environment` supplies the options of an object store.
    pub fn parse(text: &str, environment: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let invalid = |reason: String| Error::Location { location: text.to_owned(), reason };
        if let Some((scheme, _)) = text.split_once("://") {
            let mut url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
            let known = CLOUD_SCHEMES.contains(&scheme) || scheme == "file" || scheme == "memory";
            if !known {
                return Err(invalid(format!("the scheme {scheme} is not one of file, {}", CLOUD_SCHEMES.join(", "))));
            }
            if !url.path().ends_with('/') {
                url.set_path(&format!("{}/", url.path()));
            }
            let prefixes = ["aws_", "google_", "azure_", "object_store_"];
            let options = environment
                .map(|(key, value)| (key.to_ascii_lowercase(), value))
                .filter(|(key, _)| prefixes.iter().any(|prefix| key.starts_with(prefix)))
                .collect();
            register_cloud_stores();
            return Ok(Self { url, options, store: None });
        }
        let path = std::path::absolute(text).map_err(|error| invalid(error.to_string()))?;
        if path.is_file() {
            return Err(invalid("it is a file".to_owned()));
        }
        let url = Url::from_directory_path(&path).map_err(|()| invalid("it is not an absolute path".to_owned()))?;
        Ok(Self { url, options: HashMap::new(), store: None })
    }

    /// A store that the caller has opened, under the prefix `store/`: object stores with settings of their own, and those
    /// that fail on purpose.
    pub fn of_store(store: Arc<dyn ObjectStore>) -> Result<Self, Error> {
        let given = "memory:///store/";
        let url = Url::parse(given)
            .map_err(|error| Error::Location { location: given.to_owned(), reason: error.to_string() })?;
        Ok(Self { url, options: HashMap::new(), store: Some(store) })
    }

    /// The directory, when the store is local.
    pub fn directory(&self) -> Option<PathBuf> {
        let path = (self.url.scheme() == "file").then(|| self.url.to_file_path().ok()).flatten()?;
        // Without the slash that makes the URL a directory's.
        Some(path.components().collect())
    }

    /// The place of a tenant's data in a store: the store itself for the default tenant, `tenants/<name>/` in it for others.
    pub fn of_tenant(&self, tenant: &TenantName) -> Result<Self, Error> {
        if tenant.is_default() {
            return Ok(self.clone());
        }
        let url = self
            .url
            .join(&format!("{TENANTS}/{tenant}/"))
            .map_err(|error| Error::Location { location: self.to_string(), reason: error.to_string() })?;
        Ok(Self { url, ..self.clone() })
    }

    /// The tenants that have data in a store, the default one first.
    pub async fn tenants(&self) -> Result<Vec<TenantName>, Error> {
        let (store, prefix) = self.object_store()?;
        let listed = store.list_with_delimiter(Some(&prefix.join(TENANTS))).await;
        let listed = listed.map_err(|source| Error::Objects { what: TENANTS.to_owned(), source })?;
        let named = listed.common_prefixes.iter().filter_map(|path| path.filename()?.parse().ok());
        Ok(std::iter::once(TenantName::default()).chain(named).collect())
    }

    /// Makes the directory, when the store is local.
    pub fn create(&self) -> Result<(), Error> {
        let Some(directory) = self.directory() else {
            return Ok(());
        };
        std::fs::create_dir_all(&directory)
            .map_err(|error| Error::Location { location: directory.display().to_string(), reason: error.to_string() })
    }

    /// The object store and the prefix in it under which everything of this store lies.
    pub fn object_store(&self) -> Result<(Arc<dyn ObjectStore>, Path), Error> {
        if let Some(store) = &self.store {
            return Ok((store.clone(), Path::from(self.url.path())));
        }
        let (store, prefix) = object_store::parse_url_opts(&self.url, &self.options)
            .map_err(|error| Error::Location { location: self.to_string(), reason: error.to_string() })?;
        Ok((Arc::from(store), prefix))
    }

    /// What opens a table of this store.
    pub(crate) fn table(&self, name: &str) -> Result<DeltaTableBuilder, Error> {
        let url = self
            .url
            .join(&format!("{name}/"))
            .map_err(|error| Error::Location { location: self.to_string(), reason: error.to_string() })?;
        let failed =
            |source: DeltaTableError| Error::Location { location: self.to_string(), reason: source.to_string() };
        let builder = DeltaTableBuilder::from_url(url.clone()).map_err(failed)?;
        Ok(match &self.store {
            Some(store) => builder.with_storage_backend(store.clone(), url),
            None => builder.with_storage_options(self.options.clone()),
        })
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.directory() {
            Some(directory) => FilePath::display(&directory).fmt(f),
            None => self.url.fmt(f),
        }
    }
}

/// Object stores other than the local ones.
///
/// `deltalake` has a crate of its own for each cloud, with a software development kit of its own behind it. The
/// `object_store` crate, which is there anyway, commits with conditional puts and needs none of them.
#[derive(Debug)]
struct Cloud;

impl ObjectStoreFactory for Cloud {
    fn parse_url_opts(&self, url: &Url, config: &StorageConfig) -> DeltaResult<(ObjectStoreRef, Path)> {
        let (store, path) = object_store::parse_url_opts(url, &config.raw).map_err(DeltaTableError::from)?;
        Ok((Arc::from(store), path))
    }
}

impl LogStoreFactory for Cloud {
    fn with_options(
        &self,
        prefixed_store: ObjectStoreRef,
        root_store: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> DeltaResult<Arc<dyn LogStore>> {
        Ok(default_logstore(prefixed_store, root_store, location, options))
    }
}

fn register_cloud_stores() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for scheme in CLOUD_SCHEMES {
            if let Ok(key) = Url::parse(&format!("{scheme}://")) {
                object_store_factories().insert(key.clone(), Arc::new(Cloud));
                logstore_factories().insert(key, Arc::new(Cloud));
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match Location::parse(text, std::iter::empty()) {
            Ok(location) => location.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn directories_and_object_store_urls_are_locations() {
        check("/tmp/a store", "/tmp/a store");
        check("s3://bucket/prefix", "s3://bucket/prefix/");
    }

    #[test]
    fn a_tenant_lies_in_a_directory_of_its_own_and_the_default_one_where_the_store_is() {
        let store = Location::parse("/tmp/a store", std::iter::empty()).unwrap();
        let of = |tenant: &str| store.of_tenant(&tenant.parse().unwrap()).unwrap().to_string();
        assert_eq!(of("default"), "/tmp/a store");
        assert_eq!(of("acme"), "/tmp/a store/tenants/acme");
    }

    #[test]
    fn a_file_or_an_unknown_scheme_is_refused() {
        check(
            "ftp://host/x",
            "error: \"ftp://host/x\" is neither a directory nor an object-store URL: the scheme ftp is not one of file, \
             s3, s3a, gs, az, azure, abfs, abfss, adl",
        );
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(Location::parse(file, std::iter::empty()).is_err());
    }
}
