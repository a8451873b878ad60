import ArgumentParser
import Tracing

/// A number of bytes on the command line: 12G, 512M, 1.5g; powers of 1,024.
struct ByteSize: ExpressibleByArgument {
    let bytes: Int

    init?(argument: String) {
        guard let value = ByteCount.parse(argument) else { return nil }
        bytes = value
    }

    var defaultValueDescription: String { "\(bytes)" }
}
