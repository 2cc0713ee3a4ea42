//! The values of a label, each beside the variant that stands for it.

/// Declares an enum whose variants are the values of one label: `LABELS` lists them in the order of the variants, so
/// that `variant as usize` finds a variant's handle among those of
/// [`Registry::counters`](crate::metrics::Registry::counters).
///
/// ```
/// service::labels! {
///     /// What became of a request.
///     enum Outcome {
///         Answered = "answered",
///         TooLate = "too_late",
///     }
/// }
/// assert_eq!(Outcome::LABELS[Outcome::TooLate as usize], "too_late");
/// ```
#[macro_export]
macro_rules! labels {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$of_variant:meta])* $variant:ident = $label:literal),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visibility enum $name {
            $($(#[$of_variant])* $variant),+
        }

        impl $name {
            /// The label of every variant.
            $visibility const LABELS: [&'static str; [$($label),+].len()] = [$($label),+];
        }
    };
}
