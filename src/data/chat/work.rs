//! Methods and filters of chat templates that can make much of little. The engine pays for what its own operators make,
//! before they make it; these do the same.

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Output, State, Value};
use minijinja_contrib::pycompat;
use std::fmt::Write as _;

type Result<T> = std::result::Result<T, Error>;

/// Bytes that one unit of fuel pays for, as in the engine.
const BYTES: usize = 64;
/// Bytes of a place in a list, with a short text in it.
const PLACE: usize = 64;
/// What a byte costs that is written by walking through a value, bytes.
const WALKED: usize = 4;
/// So many bytes are looked through for the price of one that is made.
const LOOKED_THROUGH: usize = 8;

fn pay(state: &State<'_, '_>, bytes: usize) -> Result<()> {
    state.consume_fuel(bytes.div_ceil(BYTES) as u64)
}

/// Whether a value may have others within it, each of which may be there many times.
fn is_nested(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable | ValueKind::Plain)
}

/// The methods of Python's texts, lists and dictionaries that minijinja has none of.
pub(super) fn method(state: &mut State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> Result<Value> {
    if let Some(text) = value.as_str() {
        pay(state, text.len() / LOOKED_THROUGH)?;
        match name {
            "join" => return join(state, text, args),
            "format" => pay_for_format(state, text, args)?,
            "split" => {
                let pieces = match args.first().and_then(Value::as_str) {
                    Some(mark) => text.matches(mark).count() + 1,
                    None => text.split_whitespace().count(),
                };
                pay(state, pieces.saturating_mul(PLACE))?;
            }
            "splitlines" => pay(state, (text.matches('\n').count() + 1).saturating_mul(PLACE))?,
            "strip" | "lstrip" | "rstrip" => {
                let set = args.first().and_then(Value::as_str).map_or(0, str::len);
                pay(state, set.saturating_mul(text.len() / LOOKED_THROUGH + 4))?;
            }
            "startswith" | "endswith" => {
                for prefix in args.iter().filter(|arg| is_nested(arg)) {
                    for one in prefix.try_iter()? {
                        pay(state, PLACE + one.as_str().map_or(0, |one| one.len().min(text.len())))?;
                    }
                }
            }
            _ => {}
        }
    } else if matches!(name, "count" | "get") {
        if args.first().is_some_and(is_nested) {
            let why = format!("{name}() of a list or a dictionary is not supported");
            return Err(Error::new(ErrorKind::InvalidOperation, why));
        }
        let sought = args.first().and_then(Value::as_str).map_or(0, str::len);
        let items = if name == "count" { value.len().unwrap_or(0) } else { 1 };
        pay(state, items.saturating_mul(PLACE + sought))?;
    }
    pycompat::unknown_method_callback(state, value, name, args)
}

/// `text.join(values)`: a long value may be in a list many times.
fn join(state: &State<'_, '_>, text: &str, args: &[Value]) -> Result<Value> {
    let [values] = args else {
        return Err(Error::new(ErrorKind::InvalidOperation, "join() takes one list"));
    };
    joined(state, text, values).map(Value::from)
}

fn joined(state: &State<'_, '_>, text: &str, values: &Value) -> Result<String> {
    let mut out = Paid::new(state, 1);
    for (i, value) in values.try_iter()?.enumerate() {
        // A list within the list may be there many times, too.
        out.price = if is_nested(&value) { WALKED } else { 1 };
        let done = (if i > 0 { out.write_str(text) } else { Ok(()) }).and_then(|()| write!(out, "{value}"));
        if done.is_err() {
            break;
        }
    }
    out.text()
}

/// A value as text.
fn text_of(state: &State<'_, '_>, value: &Value) -> Result<String> {
    let mut out = Paid::new(state, if is_nested(value) { WALKED } else { 1 });
    write!(out, "{value}").ok();
    out.text()
}

/// What `{{ value }}` writes.
pub(super) fn write_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<()> {
    if is_nested(value) {
        let text = text_of(state, value)?;
        return Ok(out.write_str(&text)?);
    }
    minijinja::escape_formatter(out, state, value)
}

/// The filter `join`.
#[allow(clippy::needless_pass_by_value, reason = "the form of minijinja's filters")]
pub(super) fn join_filter(
    state: &mut State<'_, '_>,
    values: &Value,
    with: Option<String>,
    attribute: Option<String>,
    options: Kwargs,
) -> Result<String> {
    let with = with.or(options.get("d")?).unwrap_or_default();
    let attribute: Option<String> = attribute.or(options.get("attribute")?);
    options.assert_all_used()?;
    match (values.as_str(), attribute) {
        // Of a text, its characters.
        (Some(text), None) => {
            pay(state, text.len().saturating_mul(with.len() + PLACE))?;
            let pieces: Vec<String> = text.chars().map(String::from).collect();
            Ok(pieces.join(&with))
        }
        (_, None) if values.is_undefined() => Ok(String::new()),
        (_, None) => joined(state, &with, values),
        (_, Some(name)) => {
            let of = values.try_iter()?.map(|value| value.get_attr(&name)).collect::<Result<Vec<Value>>>()?;
            joined(state, &with, &Value::from(of))
        }
    }
}

/// The filter `string`.
pub(super) fn string_filter(state: &mut State<'_, '_>, value: &Value) -> Result<Value> {
    if value.as_str().is_some() { Ok(value.clone()) } else { text_of(state, value).map(Value::from) }
}

/// The filter `format`, Python's `text % args`.
#[allow(clippy::needless_pass_by_value, reason = "the form of minijinja's filters")]
pub(super) fn format_filter(
    state: &mut State<'_, '_>,
    text: &Value,
    args: minijinja::value::Rest<Value>,
) -> Result<Value> {
    let text = text.as_str().ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "value is not a string"))?;
    pay_for_format(state, text, &args)?;
    format(FormatStyle::Printf, text, &args).map(Value::from)
}

/// `raise_exception(text)`.
pub(super) fn raise(state: &mut State<'_, '_>, text: &Value) -> Result<Value> {
    Err(Error::new(ErrorKind::InvalidOperation, text_of(state, text)?))
}

/// Pays for the most that `text.format(args)` and `text % args` can give: every field as long as the longest argument or the widest field.
fn pay_for_format(state: &State<'_, '_>, text: &str, args: &[Value]) -> Result<()> {
    let (mut longest, mut stars) = (0, 0);
    for arg in args {
        longest = longest.max(text_of(state, arg)?.len());
        if let Some(width) = arg.as_usize() {
            stars = stars.max(width);
        }
    }
    let (mut fields, mut widest, mut number, mut within) = (0usize, 0usize, 0usize, false);
    for byte in text.bytes() {
        match byte {
            b'{' | b'%' => (fields, within, number) = (fields + 1, true, 0),
            // `%*d` takes its width from the arguments.
            b'*' if within => widest = widest.max(stars),
            b'}' => within = false,
            b'0'..=b'9' if within => {
                number = number.saturating_mul(10).saturating_add(usize::from(byte - b'0'));
                widest = widest.max(number);
            }
            _ => number = 0,
        }
    }
    // A character that fills may have four bytes; precision and width come one after the other.
    let each = longest.saturating_add(widest.saturating_mul(8)).saturating_add(PLACE);
    pay(state, fields.saturating_mul(each))
}

/// Python's `json.dumps(value, ensure_ascii=False, indent=indent)`, which transformers puts in Jinja's place.
#[allow(clippy::needless_pass_by_value, reason = "the form of minijinja's filters")]
pub(super) fn json(state: &mut State<'_, '_>, value: &Value, options: Kwargs) -> Result<String> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let mut out = Paid::new(state, WALKED);
    let done = if let Some(indent) = indent {
        let spaces = " ".repeat(indent.min(64));
        let pretty = serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes());
        serde::Serialize::serialize(value, &mut serde_json::Serializer::with_formatter(&mut out, pretty))
    } else {
        serde::Serialize::serialize(value, &mut serde_json::Serializer::with_formatter(&mut out, Spaced))
    };
    let text = out.text()?;
    done.map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))?;
    Ok(text)
}

/// Python's separators: `, ` and `: `.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        out.write_all(b": ")
    }
}

/// A text that is paid for as it grows.
struct Paid<'a, 'b, 'c> {
    state: &'a State<'b, 'c>,
    bytes: Vec<u8>,
    /// Of a byte, in bytes.
    price: usize,
    /// What is not paid for yet, bytes.
    due: usize,
    failed: Option<Error>,
}

impl<'a, 'b, 'c> Paid<'a, 'b, 'c> {
    fn new(state: &'a State<'b, 'c>, price: usize) -> Self {
        Self { state, bytes: Vec::new(), price, due: 0, failed: None }
    }

    fn take(&mut self, piece: &[u8]) -> bool {
        if self.failed.is_none() {
            // A piece costs something even if it is empty.
            self.due += (piece.len() + 1) * self.price;
            self.failed = self.state.consume_fuel((self.due / BYTES) as u64).err();
            self.due %= BYTES;
        }
        if self.failed.is_none() {
            self.bytes.extend_from_slice(piece);
        }
        self.failed.is_none()
    }

    fn text(self) -> Result<String> {
        match self.failed {
            Some(e) => Err(e),
            None => String::from_utf8(self.bytes).map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string())),
        }
    }
}

impl std::fmt::Write for Paid<'_, '_, '_> {
    fn write_str(&mut self, piece: &str) -> std::fmt::Result {
        if self.take(piece.as_bytes()) { Ok(()) } else { Err(std::fmt::Error) }
    }
}

impl std::io::Write for Paid<'_, '_, '_> {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        if self.take(piece) { Ok(piece.len()) } else { Err(std::io::ErrorKind::WriteZero.into()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
