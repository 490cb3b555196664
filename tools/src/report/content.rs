//! What a report shows, as plain numbers and texts; nothing in here knows HTML. Texts are given unescaped.

/// Everything on the page, in its order.
#[derive(Clone, Debug, Default)]
pub struct DemoReport {
    /// The page's title.
    pub title: String,
    /// One paragraph below it.
    pub summary: String,
    /// The numbers to remember.
    pub headlines: Vec<Headline>,
    /// How the downloads ended.
    pub statuses: Vec<Status>,
    /// More about the download.
    pub download_facts: Vec<Fact>,
    /// How many captions have so many words: the index is the number of words.
    pub caption_lengths: Vec<u64>,
    /// More about the data.
    pub data_facts: Vec<Fact>,
    /// Pictures of the training set. The first ones also stand beside the title.
    pub samples: Vec<Sample>,
    /// The training loss, by step. Losses that are not finite are left out of the curve.
    pub loss: Vec<LossPoint>,
    /// More about the training.
    pub training_facts: Vec<Fact>,
    /// Zero-shot accuracy, one entry a set of pictures.
    pub accuracies: Vec<Accuracy>,
    /// What was taken for what.
    pub confusion: Confusion,
    /// Held-out pictures with the model's best guesses.
    pub predictions: Vec<Prediction>,
    /// The commands that repeat it all.
    pub commands: Vec<Command>,
}

/// A number to remember.
#[derive(Clone, Debug)]
pub struct Headline {
    /// The number as shown, such as `97.4%`.
    pub value: String,
    /// What it counts.
    pub label: String,
    /// A remark in small print; may be empty.
    pub detail: String,
}

/// A line of the table of downloads.
#[derive(Clone, Debug)]
pub struct Status {
    /// The status's name, such as `success` or `failed_to_download`.
    pub status: String,
    /// How many ended so.
    pub count: u64,
    /// What it means, or what the errors were.
    pub meaning: String,
}

/// A name and a value, such as "batch size" and "256".
#[derive(Clone, Debug)]
pub struct Fact {
    /// The name.
    pub label: String,
    /// The value as shown.
    pub value: String,
}

impl Fact {
    /// A fact of any two texts.
    pub fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into() }
    }
}

/// A picture with its caption.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The picture as JPEG.
    pub jpeg: Vec<u8>,
    /// Its caption.
    pub caption: String,
}

/// The loss of one step.
#[derive(Clone, Copy, Debug)]
pub struct LossPoint {
    /// The step.
    pub step: u64,
    /// Its loss.
    pub loss: f64,
}

/// Zero-shot accuracy on one set of pictures; shares are in `0.0..=1.0`.
#[derive(Clone, Debug)]
pub struct Accuracy {
    /// The set's name.
    pub label: String,
    /// Whether its classes were kept out of training.
    pub unseen: bool,
    /// Share of pictures whose best guess is right.
    pub top1: f64,
    /// Share of pictures with the right class among the best five guesses.
    pub top5: f64,
    /// The share that blind guessing gets right at the first attempt.
    pub chance: f64,
    /// Number of pictures.
    pub pictures: u64,
}

/// What was taken for what.
#[derive(Clone, Debug, Default)]
pub struct Confusion {
    /// The classes, in the order of rows and columns.
    pub classes: Vec<ClassLabel>,
    /// How many pictures of the row's class were taken for the column's, `[classes][classes]`.
    pub counts: Vec<Vec<u64>>,
}

/// A class in the confusion matrix.
#[derive(Clone, Debug)]
pub struct ClassLabel {
    /// Its name; classes that share the first word are drawn as a group.
    pub name: String,
    /// Whether it was kept out of training.
    pub unseen: bool,
}

/// A held-out picture and what the model makes of it.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The picture as JPEG.
    pub jpeg: Vec<u8>,
    /// The right class name.
    pub class: String,
    /// Whether that class was kept out of training.
    pub unseen: bool,
    /// The best guesses, best first.
    pub guesses: Vec<Guess>,
}

/// One guess of the model.
#[derive(Clone, Debug)]
pub struct Guess {
    /// The class name.
    pub class: String,
    /// Its probability, `0.0..=1.0`.
    pub probability: f64,
}

/// A command with what it is for.
#[derive(Clone, Debug)]
pub struct Command {
    /// What it does; may be empty.
    pub purpose: String,
    /// The line to type.
    pub line: String,
}

impl Confusion {
    /// The most frequent mistakes as (right class, guessed class, count), most frequent first.
    pub fn mistakes(&self, most: usize) -> Vec<(&ClassLabel, &ClassLabel, u64)> {
        let cells = self.cells().filter(|(row, column, _)| row != column);
        let mut mistakes: Vec<_> = cells.collect();
        mistakes.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        mistakes.truncate(most);
        mistakes.into_iter().map(|(row, column, count)| (&self.classes[row], &self.classes[column], count)).collect()
    }

    /// The cells that are not zero as (row, column, count), row by row. Counts without a class are left out.
    pub fn cells(&self) -> impl Iterator<Item = (usize, usize, u64)> {
        let classes = self.classes.len();
        let rows = self.counts.iter().take(classes).enumerate();
        rows.flat_map(move |(row, counts)| {
            let columns = counts.iter().take(classes).enumerate();
            columns.filter(|(_, count)| **count > 0).map(move |(column, count)| (row, column, *count))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_come_most_frequent_first_and_without_the_diagonal() {
        let classes = ["a", "b"].map(|name| ClassLabel { name: name.to_owned(), unseen: false }).to_vec();
        let confusion = Confusion { classes, counts: vec![vec![9, 1, 7], vec![3, 8], vec![5, 5]] };
        let names: Vec<_> =
            confusion.mistakes(5).into_iter().map(|(right, guess, n)| (&*right.name, &*guess.name, n)).collect();
        assert_eq!(names, [("b", "a", 3), ("a", "b", 1)]);
    }
}
