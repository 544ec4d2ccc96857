//! x
/// m
pub fn text(_r: &crate::Report) -> String {
    String::new()
}
/// m
pub fn trace_text(_r: &crate::TraceDiff) -> String {
    String::new()
}
