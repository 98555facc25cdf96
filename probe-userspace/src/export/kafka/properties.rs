//! `--kafka-conf list`.
#![expect(
    unsafe_code,
    reason = "librdkafka prints its table into a FILE, and there is no other way to have all of it"
)]

use std::io;

/// Prints what librdkafka knows on stdout: name, producer or consumer, range, default, and a sentence on each.
///
/// # Errors
/// stdout cannot be written.
pub fn print() -> io::Result<()> {
    // SAFETY: duplicates a number; a closed one is an error, which is looked at.
    let descriptor = unsafe { libc::dup(libc::STDOUT_FILENO) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open and belongs to nobody else; the mode is a string that ends with 0.
    let file = unsafe { libc::fdopen(descriptor, c"w".as_ptr()) };
    if file.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the stream is open for writing. librdkafka writes into it and keeps nothing of it (`rdkafka_conf.c`).
    unsafe { rdkafka::bindings::rd_kafka_conf_properties_show(file) };
    // SAFETY: it was opened above and is used no more; the duplicate is closed with it.
    match unsafe { libc::fclose(file) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
