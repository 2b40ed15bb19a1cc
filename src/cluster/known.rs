//! A fact that was learned, or the reason why it could not be. Floor 0.

/// Something that was asked of the world: its value, or why there is none.
///
/// There is deliberately no `Default`, no `unwrap_or` and no conversion into `bool`: whoever uses
/// it has to say what happens when nothing is known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Known<T> {
    /// It was asked and answered.
    Known(T),
    /// It could not be learned; one line for an operator.
    Unknown(String),
}

impl<T> Known<T> {
    /// Nothing is known, for this reason.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown(why.into())
    }

    /// Whether there is a value.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// The value, if there is one; the reason is left behind.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// The same fact by reference; the reason is copied.
    pub fn as_known(&self) -> Known<&T> {
        match self {
            Self::Known(value) => Known::Known(value),
            Self::Unknown(why) => Known::Unknown(why.clone()),
        }
    }

    /// Why nothing is known.
    pub fn why_unknown(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(why) => Some(why),
        }
    }

    /// The fact that follows from this one.
    pub fn map<U>(self, then: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Self::Known(value) => Known::Known(then(value)),
            Self::Unknown(why) => Known::Unknown(why),
        }
    }

    /// The fact that may follow from this one.
    pub fn and_then<U>(self, then: impl FnOnce(T) -> Known<U>) -> Known<U> {
        match self {
            Self::Known(value) => then(value),
            Self::Unknown(why) => Known::Unknown(why),
        }
    }

    /// As a `Result`, for `?`.
    pub fn into_result(self) -> Result<T, String> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Unknown(why) => Err(why),
        }
    }
}

impl<T, E: std::fmt::Display> From<Result<T, E>> for Known<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) => Self::Unknown(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_fact_stays_unknown_with_its_reason_through_every_step() {
        let fact: Known<u32> = Known::unknown("crm_mon hung");
        let fact = fact.map(|n| n + 1).and_then(|n| Known::Known(n.to_string()));
        assert_eq!(fact.why_unknown(), Some("crm_mon hung"));
        assert!(!fact.is_known());
        assert_eq!(fact.as_known(), Known::unknown("crm_mon hung"));
        assert_eq!(fact.known(), None);
    }

    #[test]
    fn a_known_value_may_lead_to_an_unknown_one() {
        let fact = Known::Known(3).and_then(|_| Known::<u32>::unknown("no answer"));
        assert_eq!(fact.into_result(), Err("no answer".to_owned()));
    }
}
