use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

/// Where numbers are NaN or infinite: the place in the array, and the path within it, such as `[3].score`. JSON has no such
/// numbers, and writing null in their place would hide them.
pub(super) fn places(array: &ArrayRef) -> Vec<(usize, String)> {
    match array.data_type() {
        DataType::Float32 => {
            let numbers = array.as_primitive::<Float32Type>().iter().enumerate();
            numbers.filter(|(_, number)| number.is_some_and(|x| !x.is_finite())).map(at).collect()
        }
        DataType::Float64 => {
            let numbers = array.as_primitive::<Float64Type>().iter().enumerate();
            numbers.filter(|(_, number)| number.is_some_and(|x| !x.is_finite())).map(at).collect()
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let inner = columns.flat_map(|(field, column)| {
                places(column).into_iter().map(|(place, path)| (place, format!(".{}{path}", field.name())))
            });
            inner.filter(|(place, _)| array.is_valid(*place)).collect()
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets: Vec<usize> = list.value_offsets().iter().filter_map(|at| usize::try_from(*at).ok()).collect();
            within(&offsets, list.values())
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let offsets: Vec<usize> = list.value_offsets().iter().filter_map(|at| usize::try_from(*at).ok()).collect();
            within(&offsets, list.values())
        }
        DataType::FixedSizeList(_, size) => {
            let size = usize::try_from(*size).unwrap_or_default();
            let offsets: Vec<usize> = (0..=array.len()).map(|row| row * size).collect();
            within(&offsets, array.as_fixed_size_list().values())
        }
        DataType::Map(_, _) => {
            let map = array.as_map();
            let offsets: Vec<usize> = map.value_offsets().iter().filter_map(|at| usize::try_from(*at).ok()).collect();
            within(&offsets, map.values())
        }
        _ => Vec::new(),
    }
}

fn at<N>((place, _): (usize, N)) -> (usize, String) {
    (place, String::new())
}

/// The places of elements as those of the lists that hold them.
fn within(offsets: &[usize], values: &ArrayRef) -> Vec<(usize, String)> {
    let of_list = |(place, path): (usize, String)| {
        let list = offsets.partition_point(|start| *start <= place).checked_sub(1)?;
        let (start, end) = (offsets.get(list)?, offsets.get(list + 1)?);
        (place < *end).then(|| (list, format!("[{}]{path}", place - start)))
    };
    places(values).into_iter().filter_map(of_list).collect()
}
