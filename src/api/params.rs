//! Parameters as a program sent them, read into the shape of a method.
//!
//! What does not fit is told by the parameter's name and in plain words: who writes a client need not know what a node is
//! written with. It knows the kinds of values that the shapes of [`types`](super::types) hold. Called by the dispatcher
//! and by connections.

use super::{ApiError, Reason};
use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};
use serde_json::{Map, Value, map};
use std::{fmt, vec};

/// Reads the parameters of a method.
///
/// # Errors
/// `bad-params` with the parameter that does not fit, and what would.
pub(super) fn read<P: DeserializeOwned>(params: Value) -> Result<P, ApiError> {
    let read = match params {
        Value::Object(given) => P::deserialize(Parameters(given)),
        _ => Err(Fault::Said("they go by name, as an object".to_owned())),
    };
    read.map_err(|fault| ApiError::new(Reason::BadParams).with("detail", fault.to_string()))
}

/// What does not fit.
#[derive(Debug)]
enum Fault {
    /// A whole sentence.
    Said(String),
    /// What a value has to be; whose it is, is not known yet.
    Wanted(String),
    /// Why a value that may be said so is none; whose it is, is not known yet.
    Because(String),
}

impl Fault {
    /// The same of the parameter of this name.
    fn of(self, name: &str) -> Self {
        match self {
            Self::Said(_) => self,
            Self::Wanted(what) => Self::Said(format!("“{name}” has to be {what}")),
            Self::Because(why) => Self::Said(format!("“{name}” is not understood: {why}")),
        }
    }

    /// The same of an item of a list.
    fn of_item(self) -> Self {
        match self {
            Self::Wanted(what) => Self::Wanted(format!("a list, each of it {what}")),
            other => other,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(text) | Self::Wanted(text) | Self::Because(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self::Because(why.to_string())
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Said(format!("“{name}” is missing"))
    }
}

/// All parameters.
struct Parameters(Map<String, Value>);

impl<'de> Deserializer<'de> for Parameters {
    type Error = Fault;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if let Some(unknown) = self.0.keys().find(|name| !known.contains(&name.as_str())) {
            let takes = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Fault::Said(format!("“{unknown}” is none of them; the method takes {takes}")));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(Entries { rest: self.0.into_iter(), next: None })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// One parameter after the other.
struct Entries {
    rest: map::IntoIter,
    next: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.next = self.rest.next();
        let name = self.next.as_ref().map(|(name, _)| name.clone());
        name.map(|name| seed.deserialize(name.into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (name, value) = self.next.take().unwrap_or_default();
        seed.deserialize(Given(value)).map_err(|fault| fault.of(&name))
    }
}

/// The value of a parameter.
struct Given(Value);

fn wanted<T>(what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Wanted(what.into()))
}

impl Given {
    fn number<T>(self, most: u64, take: impl FnOnce(u64) -> Result<T, Fault>) -> Result<T, Fault> {
        match self.0.as_u64().filter(|number| *number <= most) {
            Some(number) => take(number),
            None => wanted(format!("a whole number from 0 to {most}")),
        }
    }
}

impl<'de> Deserializer<'de> for Given {
    type Error = Fault;

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            _ => wanted("a text"),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_string(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Bool(choice) => visitor.visit_bool(choice),
            _ => wanted("true or false"),
        }
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(u32::MAX.into(), |number| visitor.visit_u64(number))
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.number(u64::MAX, |number| visitor.visit_u64(number))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(Items(items.into_iter())),
            _ => wanted("a list"),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(word) if words.contains(&word.as_str()) => visitor.visit_enum(word.into_deserializer()),
            _ => wanted(format!("one of {}", words.join(", "))),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    /// For kinds that no parameter has yet.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.0.deserialize_any(visitor).map_err(|_| Fault::Wanted("of another kind".to_owned()))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 u8 u16 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier
        ignored_any
    }
}

/// The items of a list.
struct Items(vec::IntoIter<Value>);

impl<'de> SeqAccess<'de> for Items {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let item = self.0.next().map(|item| seed.deserialize(Given(item)).map_err(Fault::of_item));
        item.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::methods::*;
    use serde_json::json;

    fn refused<M: Method>(params: Value) -> String {
        match read::<M::Params>(params) {
            Ok(_) => panic!("{} takes it", M::NAME),
            Err(error) => error.message,
        }
    }

    #[test]
    fn what_does_not_fit_is_named_and_what_would_is_said() {
        let cases = [
            (refused::<MessageLog>(json!({})), "“chat” is missing"),
            (refused::<MessageLog>(json!({"chat": {}})), "“chat” has to be a text"),
            (refused::<MessageLog>(json!({"chat": null})), "“chat” has to be a text"),
            (
                refused::<MessageLog>(json!({"chat": "a", "limit": -1})),
                "“limit” has to be a whole number from 0 to 4294967295",
            ),
            (
                refused::<MessageLog>(json!({"chat": "a", "limit": "5"})),
                "“limit” has to be a whole number from 0 to 4294967295",
            ),
            (
                refused::<MessageLog>(json!({"chat": "a", "limits": 5})),
                "“limits” is none of them; the method takes chat, limit, before, search",
            ),
            (
                refused::<MessageSend>(json!({"chat": "a", "text": "b", "wait": "sent"})),
                "“wait” has to be one of saved, mailbox, delivered, read",
            ),
            (
                refused::<MessageSend>(json!({"chat": "a", "text": "b", "wait": 7})),
                "“wait” has to be one of saved, mailbox, delivered, read",
            ),
            (
                refused::<MessageSend>(json!({"chat": "a", "text": "b", "timeout": "soon"})),
                "“timeout” is not understood: a duration is a whole number and s, m, h or d: 30s, 5m, 7d",
            ),
            (refused::<ChatTimer>(json!({"chat": "a", "timer": "soon"})), "7d; or off"),
            (refused::<ChatList>(json!({"after": "a"})), "“after” is not understood: an id is 52 "),
            (refused::<ContactAdd>(json!({"link": "a", "as": 1})), "“as” has to be a text"),
            (refused::<InviteCreate>(json!({"auto_accept": "yes"})), "“auto_accept” has to be true or false"),
            (refused::<GroupInvite>(json!({"group": "a", "who": "b"})), "“who” has to be a list"),
            (refused::<GroupInvite>(json!({"group": "a", "who": [1]})), "“who” has to be a list, each of it a text"),
            (refused::<GroupLeave>(json!({"group": "a", "name": "b"})), "the method takes group"),
            (refused::<Watch>(json!({"after": 1.5})), "“after” has to be a whole number"),
            (refused::<Watch>(json!([1])), "they go by name, as an object"),
        ];
        for (said, wanted) in cases {
            assert!(said.contains(wanted), "{said}");
        }
    }

    #[test]
    fn no_method_takes_a_parameter_that_it_does_not_know() {
        macro_rules! refuse {
            ($($method:ident,)*) => {
                $(assert!(refused::<$method>(json!({"nonsense": 1})).contains("“nonsense” is none of them"));)*
            };
        }
        for_each_method!(refuse);
    }

    #[test]
    fn what_fits_is_read_as_it_was_written() {
        fn same<M: Method>(params: Value) {
            let read = read::<M::Params>(params.clone()).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(serde_json::to_value(read).unwrap(), params);
        }
        same::<MessageSend>(json!({"chat": "a", "text": "b", "reply_to": "c", "wait": "read", "timeout": "5m"}));
        same::<MessageLog>(json!({"chat": "a", "limit": 7, "before": "b", "search": "c"}));
        same::<ChatTimer>(json!({"chat": "a", "timer": "off"}));
        same::<ChatReceipts>(json!({"chat": "a", "set": "default"}));
        same::<ChatList>(json!({"limit": 3, "after": crate::api::samples::ID}));
        same::<ContactAdd>(json!({"link": "a", "as": "b"}));
        same::<InviteCreate>(json!({"expires": "7d", "auto_accept": true}));
        same::<GroupLog>(json!({"group": "a", "limit": 7, "before": "b", "all": true}));
        same::<GroupInvite>(json!({"group": "a", "who": ["b", "c"]}));
        same::<MailboxServe>(json!({"serve": true}));
        same::<Watch>(json!({"after": u64::MAX}));
        same::<Status>(json!({}));
        assert_eq!(read::<<MessageLog as Method>::Params>(json!({"chat": "a", "limit": null})).unwrap().limit, None);
    }
}
