//! Sections of the configuration: each key stands once, with its type and its default.

/// Declares a section as written; unknown keys are errors.
#[doc(hidden)]
#[macro_export]
macro_rules! section {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$key_meta:meta])* $key:ident: $kind:ty = $default:expr,)*
    }) => {
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        $(#[$meta])*
        pub struct $name {
            $($(#[$key_meta])* pub $key: $kind,)*
        }

        impl $name {
            /// Every key, in the order of the fields.
            pub const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }
    };
}
pub(crate) use section;
