//! Lists of numbers as people write them: `0-3,6`.

/// Longest list that is taken: more cores or queues than any machine has, so that `0-4294967295` is an answer.
const LONGEST: usize = 4096;

/// Reads `0-3,6` as 0, 1, 2, 3, 6, in the order written; a number twice is refused.
pub(super) fn numbers(text: &str) -> Result<Vec<u32>, String> {
    let mut list = Vec::new();
    for part in text.split(',') {
        let (first, last) = range(part.trim())?;
        if (last - first) as usize >= LONGEST - list.len() {
            return Err(format!("more than {LONGEST} numbers"));
        }
        for number in first..=last {
            if list.contains(&number) {
                return Err(format!("{number} is there twice"));
            }
            list.push(number);
        }
    }
    Ok(list)
}

fn range(part: &str) -> Result<(u32, u32), String> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let first = number(first)?;
    let last = number(last)?;
    if last < first { Err(format!("{part} runs backwards")) } else { Ok((first, last)) }
}

fn number(text: &str) -> Result<u32, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_numbers_keep_their_order() {
        assert_eq!(numbers("6,0-3"), Ok(vec![6, 0, 1, 2, 3]));
    }

    #[test]
    fn what_is_no_list_is_refused_with_the_part_that_is_wrong() {
        for (text, reason) in [
            ("", "\"\" is not a number"),
            ("1,,2", "\"\" is not a number"),
            ("3-1", "3-1 runs backwards"),
            ("1,1", "1 is there twice"),
            ("eth0", "\"eth0\" is not a number"),
            ("0-4294967295", "more than 4096 numbers"),
        ] {
            assert_eq!(numbers(text), Err(reason.to_string()), "{text}");
        }
    }
}
