//! x
/// m
pub fn markdown(_r: &crate::Report) -> String {
    String::new()
}
