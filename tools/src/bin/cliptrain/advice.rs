//! What to do about errors that several commands end with.

use anyhow::Error;
use tools::exit::Hint;

/// The error, with a hint where it has none and one is known.
pub fn advised(error: Error) -> Error {
    let known = if error.downcast_ref::<Hint>().is_some() { None } else { error.chain().find_map(advice) };
    match known {
        Some(hint) => error.context(Hint(hint.to_owned())),
        None => error,
    }
}

fn advice(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    use model::Error::{MisshapenTensor, MissingTensor, UnexpectedTensor, UnknownModel};
    let error = match cause.downcast_ref::<trainer::Error>() {
        Some(trainer::Error::Model(error)) => error,
        _ => cause.downcast_ref::<model::Error>()?,
    };
    match error {
        UnknownModel { .. } => Some("`cliptrain models` lists them; a JSON file with a model_cfg is one, too"),
        MissingTensor { .. } | MisshapenTensor { .. } | UnexpectedTensor { .. } => {
            Some("--model NAME says which model the weights are of")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::advised;

    #[test]
    fn an_unknown_model_is_looked_up_in_the_list() {
        let unknown = || model::Error::UnknownModel { name: "nope".to_owned(), nearest: Vec::new() };
        for error in [anyhow::Error::new(unknown()), anyhow::Error::new(trainer::Error::Model(unknown()))] {
            let told = tools::exit::describe(&advised(error.context("--model `nope`")));
            assert!(told.contains("hint: `cliptrain models`"), "{told}");
        }
        let told = tools::exit::describe(&advised(anyhow::anyhow!("the disk is full")));
        assert_eq!(told, "error: the disk is full\n");
    }
}
