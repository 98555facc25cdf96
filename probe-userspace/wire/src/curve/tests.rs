//! Keys and their files.

use super::*;

const PUBLIC_FILE: &str = "zmq-key.pub";
const SECRET_FILE: &str = "zmq-key.priv";

/// The keys of `zmq_curve_keypair(3)` and of the CURVE examples of libzmq.
const PUBLIC: &str = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
const SECRET: &str = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";

fn made() -> Made {
    Ok((PUBLIC.to_owned(), SECRET.to_owned()))
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_pair_is_made_once_and_its_secret_is_its_owners() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let (pair, is_new) = Pair::in_directory(&state, PROBE_STEM, made).unwrap();
    assert!(is_new && pair.public.as_str() == PUBLIC && pair.secret.expose() == SECRET);
    assert_eq!(mode(&state.join(SECRET_FILE)), 0o600);
    let again = Pair::in_directory(&state, PROBE_STEM, || panic!("made twice")).unwrap();
    assert_eq!(again, (pair, false));
}

#[test]
fn no_output_shows_a_secret() {
    let pair = Pair { public: PUBLIC.parse().unwrap(), secret: Secret(SECRET.parse().unwrap()) };
    assert!(!format!("{pair:?}").contains(&SECRET[..8]));
}

#[test]
fn a_secret_that_others_can_read_is_refused_with_the_mend() {
    let directory = tempfile::tempdir().unwrap();
    Pair::in_directory(directory.path(), PROBE_STEM, made).unwrap();
    let secret = directory.path().join(SECRET_FILE);
    std::fs::set_permissions(&secret, Permissions::from_mode(0o640)).unwrap();
    let said = Pair::read(&secret).unwrap_err().to_string();
    assert!(said.contains("0640") && said.contains("chmod 600"), "{said}");
}

#[test]
fn half_a_pair_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    Pair::in_directory(directory.path(), PROBE_STEM, made).unwrap();
    std::fs::remove_file(directory.path().join(PUBLIC_FILE)).unwrap();
    let said = Pair::in_directory(directory.path(), PROBE_STEM, made).unwrap_err().to_string();
    assert!(said.contains(PUBLIC_FILE) && said.contains("put it back"), "{said}");
}

#[test]
fn a_stop_between_the_two_files_is_mended_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(PUBLIC_FILE), "half").unwrap();
    let (pair, is_new) = Pair::in_directory(directory.path(), PROBE_STEM, made).unwrap();
    assert!(is_new && pair.public.as_str() == PUBLIC);
}

#[test]
fn what_is_no_key_is_refused_where_it_is_wrong() {
    assert_eq!("short".parse::<Key>(), Err(Malformed::Length(5)));
    let wrong = |at: usize, with: &str| {
        let mut text = PUBLIC.to_owned();
        text.replace_range(at..at + 1, with);
        text.parse::<Key>()
    };
    assert_eq!(wrong(7, "~"), Err(Malformed::Characters(6, 10)));
    // 85^5 is more than 2^32.
    assert_eq!("#".repeat(40).parse::<Key>(), Err(Malformed::Characters(1, 5)));
    assert_eq!("ü".repeat(20).parse::<Key>(), Err(Malformed::Characters(1, 5)));
}

#[test]
fn a_list_of_keys_has_comments_and_names_the_wrong_line() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("clients");
    std::fs::write(&list, format!("# who\n\n{PUBLIC} # rack 7\n{SECRET}\n")).unwrap();
    assert_eq!(keys(&list).unwrap(), [PUBLIC.parse().unwrap(), SECRET.parse().unwrap()]);
    std::fs::write(&list, format!("{PUBLIC}\nnonsense\n")).unwrap();
    assert!(keys(&list).unwrap_err().to_string().contains("line 2: it has 8 characters"));
    std::fs::write(&list, "# nobody yet\n").unwrap();
    assert!(matches!(keys(&list), Err(Error::Empty { .. })));
    assert!(keys(&directory.path().join("none")).unwrap_err().to_string().contains("name a file"));
}
