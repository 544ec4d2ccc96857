//! Functions allocate outside of the memory pool, so what a query makes out of short values is bounded before it runs.
//!
//! Only the functions of a list are offered, none of which multiplies. What adds, such as `||`, may be repeated by subqueries
//! that use a column twice, each of which doubles it: so it is counted of how many values a result is made once every column
//! beneath is written out.

use std::ops::ControlFlow;

use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::common::{Column, DFSchemaRef};
use deltalake::datafusion::error::DataFusionError;
use deltalake::datafusion::execution::SessionStateDefaults;
use deltalake::datafusion::logical_expr::expr::{Cast, Exists, InSubquery, SetComparison, TryCast};
use deltalake::datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use deltalake::datafusion::prelude::SessionContext;
use deltalake::datafusion::sql::parser::Statement;
use deltalake::datafusion::sql::sqlparser::ast::visit_relations;

use super::SqlError;

/// The functions of one row that queries may use, with whatever other names they have: their results are about as long as
/// their arguments. What a later version of the engine brings is not offered until it stands here.
#[rustfmt::skip]
const OFFERED: &[&str] = &[
    "abs", "acos", "acosh", "array_add", "array_any_value", "array_append", "array_avg", "array_compact",
    "array_concat", "array_dims", "array_distance", "array_distinct", "array_element", "array_except", "array_has",
    "array_has_all", "array_has_any", "array_intersect", "array_length", "array_max", "array_min", "array_ndims",
    "array_normalize", "array_pop_back", "array_pop_front", "array_position", "array_positions", "array_prepend",
    "array_product", "array_remove", "array_remove_all", "array_remove_n", "array_reverse", "array_scale",
    "array_slice", "array_sort", "array_subtract", "array_sum", "array_union", "arrays_zip", "arrow_field",
    "arrow_metadata", "arrow_typeof", "ascii", "asin", "asinh", "atan", "atan2", "atanh", "bit_length", "btrim",
    "cardinality", "cast_to_type", "cbrt", "ceil", "character_length", "chr", "coalesce", "concat", "concat_ws",
    "contains", "cos", "cosh", "cosine_distance", "cot", "current_date", "current_time", "date_bin", "date_part",
    "date_trunc", "decode", "degrees", "digest", "empty", "encode", "ends_with", "exp", "factorial", "find_in_set",
    "flatten", "floor", "from_unixtime", "gcd", "get_field", "greatest", "initcap", "inner_product", "isnan",
    "iszero", "lcm", "least", "left", "length", "levenshtein", "ln", "log", "log10", "log2", "lower", "ltrim",
    "make_array", "make_date", "make_time", "map", "map_entries", "map_extract", "map_keys", "map_values", "md5",
    "mod", "named_struct", "nanvl", "now", "nullif", "nvl", "nvl2", "octet_length", "overlay", "pi", "pow", "power",
    "radians", "random", "regexp_count", "regexp_instr", "regexp_like", "regexp_match", "reverse", "right", "round",
    "rtrim", "sha224", "sha256", "sha384", "sha512", "signum", "sin", "sinh", "split_part", "sqrt", "starts_with",
    "string_to_array", "strpos", "struct", "substr", "substr_index", "tan", "tanh", "to_char", "to_date", "to_hex",
    "to_local_time", "to_time", "to_timestamp", "to_timestamp_micros", "to_timestamp_millis", "to_timestamp_nanos",
    "to_timestamp_seconds", "to_unixtime", "translate", "trunc", "try_cast_to_type", "union_extract", "union_tag",
    "upper", "uuid", "version",
];

/// The same for functions that are given a function: theirs give a part of a list, or a single value.
const OFFERED_OF_LISTS: &[&str] = &["array_any_match", "array_filter", "array_first"];

/// Tables and subqueries that a query may name.
const NAMED: usize = 24;
/// Steps of a plan, each counted as often as the query uses it.
const STEPS: usize = 256;
/// Values of which an expression may be made: the optimizer writes columns out, too.
const VALUES: usize = 1_024;
/// Values of which a text or a list may be made.
const PARTS: usize = 128;
/// So many bytes of a literal count as a value.
const LITERAL_BYTES: usize = 64;

/// Takes away the functions that are not offered; in `FROM`, where they give rows, `range` and `generate_series` stay.
pub(super) fn restrict(session: &SessionContext) {
    let state = session.state();
    let others = state.scalar_functions().values().map(|function| function.name());
    for name in others.filter(|name| !OFFERED.contains(name)) {
        session.deregister_udf(name);
    }
    let others = state.higher_order_functions().values().map(|function| function.name());
    for name in others.filter(|name| !OFFERED_OF_LISTS.contains(name)) {
        session.deregister_higher_order_function(name);
    }
}

/// What to say of a function that the engine has and that is not offered; none if `reason` is about something else.
pub(super) fn refusal(reason: &str) -> Option<String> {
    let name = reason.split_once("Invalid function '")?.1.split_once('\'')?.0;
    let scalar = SessionStateDefaults::default_scalar_functions();
    let scalar = scalar.iter().any(|function| function.name() == name || function.aliases().iter().any(|a| a == name));
    let higher = SessionStateDefaults::default_higher_order_functions();
    let higher = higher.iter().any(|function| function.name() == name || function.aliases().iter().any(|a| a == name));
    (scalar || higher).then(|| {
        format!(
            "{name} is not offered in queries: only functions are whose results are about as long as their arguments"
        )
    })
}

/// Refuses what cannot even be planned: a step of the plan is walked through as often as it is named, hence doubles with each
/// step that names the one before twice.
pub(super) fn check_statement(statement: &Statement) -> Result<(), SqlError> {
    let query = match statement {
        Statement::Statement(query) => query,
        // Plans of queries tell of files and of the machine.
        Statement::Explain(_) => return Err(SqlError::Query("EXPLAIN is not supported".to_owned())),
        Statement::CopyTo(_) => return Err(SqlError::Query("COPY is not supported".to_owned())),
        Statement::CreateExternalTable(_) | Statement::Reset(_) => return Ok(()),
    };
    let mut named = 0;
    let counted = visit_relations(query, |_| {
        named += 1;
        if named > NAMED { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match counted {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(SqlError::Limit(format!("more than {NAMED} tables and subqueries by name"))),
    }
}

/// Refuses a plan that is too large, or that puts too many values together.
pub(super) fn check_plan(plan: &LogicalPlan) -> Result<(), SqlError> {
    if matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_)) {
        return Err(SqlError::Query("EXPLAIN is not supported".to_owned()));
    }
    Measure { steps: 0, scopes: Vec::new() }.columns(plan).map(drop)
}

/// The columns that expressions can name, and of how many values each is made.
struct Scope {
    schema: DFSchemaRef,
    values: Vec<usize>,
}

struct Measure {
    steps: usize,
    /// Those of a subquery after those of the query around it.
    scopes: Vec<Scope>,
}

impl Measure {
    /// Of how many values each column of a plan is made.
    fn columns(&mut self, plan: &LogicalPlan) -> Result<Vec<usize>, SqlError> {
        self.steps += 1;
        if self.steps > STEPS {
            return Err(SqlError::Limit(format!("more than {STEPS} steps once its subqueries are written out")));
        }
        let inputs = plan.inputs();
        let mut below = Vec::with_capacity(inputs.len());
        for input in &inputs {
            below.push(self.columns(input)?);
        }
        let outer = self.scopes.len();
        let scopes = inputs.iter().zip(&below);
        self.scopes
            .extend(scopes.map(|(input, values)| Scope { schema: input.schema().clone(), values: values.clone() }));
        let own: Result<Vec<_>, _> = plan.expressions().iter().map(|expression| self.expression(expression)).collect();
        self.scopes.truncate(outer);
        Ok(output(plan, below, own?))
    }

    /// Of how many values the result of an expression is made.
    fn expression(&mut self, expression: &Expr) -> Result<usize, SqlError> {
        let mut values = match expression {
            Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => self.column(column),
            Expr::Literal(value, _) => value.size() / LITERAL_BYTES,
            Expr::ScalarSubquery(query)
            | Expr::Exists(Exists { subquery: query, .. })
            | Expr::InSubquery(InSubquery { subquery: query, .. })
            | Expr::SetComparison(SetComparison { subquery: query, .. }) => {
                self.columns(&query.subquery)?.into_iter().max().unwrap_or_default()
            }
            Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. })
                if field.data_type().to_string().contains("FixedSize") =>
            {
                return Err(SqlError::Query("types of a fixed length are not offered in queries".to_owned()));
            }
            _ => 0,
        };
        let mut failure = None;
        let visited = expression.apply_children(|child| {
            match self.expression(child) {
                Ok(more) => values = values.saturating_add(more),
                Err(error) => failure = Some(error),
            }
            Ok::<_, DataFusionError>(if failure.is_some() {
                TreeNodeRecursion::Stop
            } else {
                TreeNodeRecursion::Continue
            })
        });
        if let Some(error) = failure {
            return Err(error);
        }
        visited.map_err(super::explain)?;
        match expression {
            // Twice the bytes.
            Expr::ScalarFunction(function) if function.name() == "encode" => values = values.saturating_mul(2),
            // `%+`, in two bytes, stands for a whole time.
            Expr::ScalarFunction(function) if function.name() == "to_char" => values = values.saturating_mul(16),
            // As many rows as there are; then it should not be multiplied.
            Expr::AggregateFunction(function) if matches!(function.func.name(), "array_agg" | "string_agg") => {
                values = values.max(PARTS / 2);
            }
            _ => {}
        }
        let joins = matches!(
            expression,
            Expr::ScalarFunction(_)
                | Expr::HigherOrderFunction(_)
                | Expr::BinaryExpr(BinaryExpr { op: Operator::StringConcat, .. })
        );
        if joins && values > PARTS {
            return Err(SqlError::Limit(format!(
                "a function or || over more than {PARTS} values, counted through its subqueries; each {LITERAL_BYTES} \
                 bytes of a literal are one"
            )));
        }
        if values > VALUES {
            return Err(SqlError::Limit(format!(
                "an expression of more than {VALUES} values, counted through its subqueries"
            )));
        }
        Ok(values.max(1))
    }

    /// What is not found may be anything.
    fn column(&self, column: &Column) -> usize {
        let found = self.scopes.iter().rev().find_map(|scope| {
            scope.schema.maybe_index_of_column(column).and_then(|index| scope.values.get(index).copied())
        });
        found.unwrap_or(VALUES)
    }
}

/// Of how many values each column of a step is made, given those of its inputs and of its expressions.
fn output(plan: &LogicalPlan, below: Vec<Vec<usize>>, own: Vec<usize>) -> Vec<usize> {
    let width = plan.schema().fields().len();
    let most = below.iter().flatten().chain(&own).copied().max().unwrap_or(1);
    let columns = match plan {
        LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) => own,
        LogicalPlan::Window(_) => below.into_iter().flatten().chain(own).collect(),
        // Each column is one of any of the inputs.
        LogicalPlan::Union(_) | LogicalPlan::Unnest(_) => Vec::new(),
        _ => below.concat(),
    };
    if columns.len() == width { columns } else { vec![most; width] }
}
