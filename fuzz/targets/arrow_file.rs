#![no_main]
#![expect(missing_docs, reason = "the library has them")]

tidemark_fuzz::target!(arrow_file);
