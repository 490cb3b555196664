//! Cells of parquet that hold lists, structures and maps, as JSON text.

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, UInt64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value};

/// What a conversion between arrow's types comes to.
type Converted<T> = std::result::Result<T, ArrowError>;

/// Whether cells of this type have parts.
pub(super) fn is_nested(data_type: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, List, Map, Struct};
    matches!(data_type, List(_) | LargeList(_) | FixedSizeList(..) | Struct(_) | Map(..))
}

/// The text of each cell; `None` where there is none.
pub(super) fn texts(column: &ArrayRef) -> Converted<Vec<Option<String>>> {
    let values = values(column)?;
    Ok(values.into_iter().map(|value| (!value.is_null()).then(|| value.to_string())).collect())
}

/// A column's cells: numbers as such, a map as a list of pairs, what JSON has no type for as arrow shows it.
fn values(column: &ArrayRef) -> Converted<Vec<Value>> {
    let found = match column.data_type() {
        DataType::Null => vec![Value::Null; column.len()],
        DataType::Boolean => column.as_boolean().iter().map(Value::from).collect(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().iter().map(Value::from).collect(),
        other if other.is_integer() => {
            cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().iter().map(Value::from).collect()
        }
        // As short as they can be told from their neighbours: 0.1 and not 0.10000000149011612.
        DataType::Float32 | DataType::Float16 => {
            let single = cast(column, &DataType::Float32)?;
            single.as_primitive::<Float32Type>().iter().map(shortest).collect()
        }
        other if other.is_floating() => {
            cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().iter().map(Value::from).collect()
        }
        DataType::List(_) => lists(&values(column.as_list::<i32>().values())?, column.as_list::<i32>().value_offsets()),
        DataType::LargeList(_) => {
            lists(&values(column.as_list::<i64>().values())?, column.as_list::<i64>().value_offsets())
        }
        DataType::FixedSizeList(_, length) => {
            let length = usize::try_from(*length).unwrap_or_default();
            let list = column.as_fixed_size_list();
            let parts = values(list.values())?;
            let cell = |row: usize| parts.get(row * length..(row + 1) * length).unwrap_or_default().to_vec();
            (0..column.len()).map(|row| Value::Array(cell(row))).collect()
        }
        DataType::Struct(_) => structures(column)?,
        DataType::Map(..) => {
            let map = column.as_map();
            let pairs: Vec<Value> = values(map.keys())?
                .into_iter()
                .zip(values(map.values())?)
                .map(|(key, value)| Value::Array(vec![key, value]))
                .collect();
            lists(&pairs, map.value_offsets())
        }
        _ => shown(column)?,
    };
    Ok(found.into_iter().enumerate().map(|(row, v)| if column.is_null(row) { Value::Null } else { v }).collect())
}

fn shortest(value: Option<f32>) -> Value {
    value.and_then(|value| value.to_string().parse::<f64>().ok()).map_or(Value::Null, Value::from)
}

fn lists<O: OffsetSizeTrait>(parts: &[Value], offsets: &[O]) -> Vec<Value> {
    let cell = |ends: &[O]| parts.get(ends[0].as_usize()..ends[1].as_usize()).unwrap_or_default().to_vec();
    offsets.windows(2).map(|ends| Value::Array(cell(ends))).collect()
}

fn structures(column: &ArrayRef) -> Converted<Vec<Value>> {
    let structure = column.as_struct();
    let mut cells = vec![Map::new(); column.len()];
    for (field, part) in structure.fields().iter().zip(structure.columns()) {
        for (cell, value) in cells.iter_mut().zip(values(part)?) {
            cell.insert(field.name().clone(), value);
        }
    }
    Ok(cells.into_iter().map(Value::Object).collect())
}

fn shown(column: &ArrayRef) -> Converted<Vec<Value>> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    (0..column.len()).map(|row| formatter.value(row).try_to_string().map(Value::String)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        FixedSizeListArray, Int32Array, ListArray, MapBuilder, StringArray, StringBuilder, StructArray,
    };
    use arrow::datatypes::{Field, Int32Type};

    use super::*;

    fn told(column: ArrayRef) -> Vec<Option<String>> {
        texts(&column).unwrap()
    }

    #[test]
    fn lists_structures_and_maps_are_json() {
        let list = |rows: Vec<Option<Vec<Option<i32>>>>| ListArray::from_iter_primitive::<Int32Type, _, _>(rows);
        let cells = list(vec![Some(vec![Some(1), None]), None, Some(vec![])]);
        assert_eq!(told(Arc::new(cells)), [Some("[1,null]".into()), None, Some("[]".into())]);
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("a, \"b\""), None]));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![7, 8]));
        let fields = [("t", &text), ("n", &numbers)]
            .map(|(name, array)| (Arc::new(Field::new(name, array.data_type().clone(), true)), Arc::clone(array)));
        let structure: ArrayRef = Arc::new(StructArray::from(fields.to_vec()));
        assert_eq!(told(structure), [Some(r#"{"t":"a, \"b\"","n":7}"#.into()), Some(r#"{"t":null,"n":8}"#.into())]);
        let item = Arc::new(Field::new("item", DataType::Int32, true));
        let fixed = FixedSizeListArray::new(item, 2, Arc::new(Int32Array::from(vec![1, 2, 3, 4])), None);
        assert_eq!(told(Arc::new(fixed)), [Some("[1,2]".into()), Some("[3,4]".into())]);
        let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        map.keys().append_value("k");
        map.values().append_value("v");
        map.append(true).unwrap();
        assert_eq!(told(Arc::new(map.finish())), [Some(r#"[["k","v"]]"#.into())]);
    }
}
