//! A text whose last line is its checksum: damage shows, and so does a file that was cut off. Floor 0.

/// The text with the line `sum …` at its end.
pub fn seal(body: String) -> String {
    let sum = checksum(&body);
    body + &format!("sum {sum:016x}\n")
}

/// The text without that line, or what is wrong with it.
pub fn unseal(text: &str) -> Result<&str, &'static str> {
    let end = text.rfind("sum ").ok_or("it has no checksum (cut off?)")?;
    let (body, sum) = text.split_at(end);
    let sum = sum.trim_end_matches('\n').strip_prefix("sum ").unwrap_or_default();
    if sum == format!("{:016x}", checksum(body)) {
        Ok(body)
    } else {
        Err("its checksum does not match (damaged, or edited by hand)")
    }
}

/// FNV-1a over 64 bits: against damage, not against malice (the file is root's).
fn checksum(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_found_whole_and_nothing_else_is_believed() {
        for body in ["", "a line\n", "sum of\nsum 0123456789abcdef\n", "no end of line"] {
            let sealed = seal(body.to_owned());
            assert_eq!(unseal(&sealed), Ok(body));
            for cut in (0..sealed.len() - 1).filter(|cut| sealed.is_char_boundary(*cut)) {
                let left = sealed.get(..cut).unwrap_or_default();
                assert!(unseal(left).is_err(), "{left:?}");
            }
            assert!(unseal(&format!("{sealed}more")).is_err());
            assert!(unseal(&format!("x{sealed}")).is_err());
        }
    }
}
