import Foundation

/// Standard input, output and error as every command uses them.
///
/// Results go to standard output through `print`, below; what is said to a person goes to standard error through `say`.
enum StandardStreams {
    /// Makes the three descriptors safe to use, before anything else runs.
    ///
    /// A descriptor that the caller has closed would otherwise become the next file that the program opens, and results
    /// would be written into it. A file that may not grow further is an error of the write, not the end of the process.
    static func prepare() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) == -1 {
            // Opened the wrong way round, so that using it fails as it did before. The lowest free number is this one.
            _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
        signal(SIGXFSZ, SIG_IGN)
    }

    /// Writes all bytes, in as many pieces as the system takes.
    /// - Throws: `StandardOutputError` where the system refuses.
    fileprivate static func write(_ text: String, to descriptor: Int32) throws(StandardOutputError) {
        var text = text
        var code: Int32 = 0
        text.withUTF8 { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let written = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
                if written > 0 {
                    rest = rest.dropFirst(written)
                } else if written == 0 {
                    code = EIO
                    return
                } else if errno == EAGAIN {
                    var state = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&state, 1, -1)
                } else if errno != EINTR {
                    code = errno
                    return
                }
            }
        }
        if code != 0 { throw StandardOutputError(code: code) }
    }

    /// All of standard input.
    /// - Throws: an error with the system's reason where it cannot be read.
    static func read() throws -> Data { try FileHandle.standardInput.readToEnd() ?? Data() }
}

/// Why results did not reach standard output: what was written before is not whole.
struct StandardOutputError: Error, CustomStringConvertible {
    /// The system's error number.
    var code: Int32
    var description: String { "standard output: \(String(cString: strerror(code))); the output is not complete" }
}

extension StandardStreams {
    /// Text for a person: control characters, of which a name of a corpus or a model may have some, are shown (`\x1b`) and steer no
    /// terminal. Ends of line and tabs stay; marks that turn the direction of writing are shown too.
    static func visible(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: steers) else { return text }
        var shown = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            guard steers(scalar) else {
                shown.append(scalar)
                continue
            }
            let digits = String(scalar.value, radix: 16)
            let escape =
                scalar.value < 256
                ? "\\x" + (digits.count < 2 ? "0" : "") + digits : "\\u{\(digits)}"
            shown.append(contentsOf: escape.unicodeScalars)
        }
        return String(shown)
    }

    private static func steers(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09, 0x0A: false
        case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069, 0x200E...0x200F, 0x061C: true
        default: false
        }
    }
}

/// The one way to put results on standard output. It stands in front of Swift's own `print`, which loses what cannot be
/// written, and does not compile without `try`. On a terminal, control characters are shown instead of obeyed.
/// - Parameter isStyled: the text has escape sequences of ours, and names in it have been made visible already.
/// - Throws: `StandardOutputError`; the command then ends with exit code 1.
func print(_ text: String, terminator: String = "\n", isStyled: Bool = false) throws(StandardOutputError) {
    let shown = !isStyled && isatty(STDOUT_FILENO) == 1 ? StandardStreams.visible(text) : text
    try StandardStreams.write(shown + terminator, to: STDOUT_FILENO)
}

/// A line for the person at the terminal, on standard error: standard output is for results.
func say(_ line: String) { say(line, terminator: "\n") }

/// As `say`, without an end of line: prompts. A closed standard error loses it.
func say(_ text: String, terminator: String) {
    try? StandardStreams.write(StandardStreams.visible(text) + terminator, to: STDERR_FILENO)
}

/// A line over the one before, on a terminal.
func sayOver(_ line: String) { try? StandardStreams.write("\r" + StandardStreams.visible(line), to: STDERR_FILENO) }
