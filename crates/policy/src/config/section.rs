//! Sections of the configuration: each key stands once, with its type and its default.

/// Declares a section as written; unknown keys are errors.
#[doc(hidden)]
#[macro_export]
macro_rules! section {
    ($(#[$($meta:tt)*])* $name:ident {
        $($(#[$($key_meta:tt)*])* $key:ident: $kind:ty = $default:expr,)*
    }) => {
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        $(#[$($meta)*])*
        pub struct $name {
            $($(#[$($key_meta)*])* pub $key: $kind,)*
        }

        impl $name {
            /// Every key, in the order of the fields.
            pub const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];
            /// Documentation of each key.
            pub const DOCS: &'static [&'static str] =
                &[$(concat!($($crate::section_doc!($($key_meta)*)),*)),*];
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }
    };
}

/// The text of an attribute that documents; nothing of any other.
#[doc(hidden)]
#[macro_export]
macro_rules! section_doc {
    (doc = $text:literal) => {
        $text
    };
    ($($other:tt)*) => {
        ""
    };
}

pub(crate) use section;
