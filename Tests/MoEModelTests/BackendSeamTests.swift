import Foundation
import Testing

/// The seam between the forward pass and its backend, read from the sources: another backend replaces one folder.
@Suite struct BackendSeamTests {
    private static let sources = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Sources")

    /// Swift sources below a folder of `Sources`, by their path below `Sources`.
    private func swiftFiles(_ folder: String = "") throws -> [(path: String, text: String)] {
        let root = Self.sources.appending(path: folder)
        let paths = try FileManager.default.subpathsOfDirectory(atPath: root.path).filter { $0.hasSuffix(".swift") }
        return try paths.sorted().map { path in
            let text = try String(contentsOf: root.appending(path: path), encoding: .utf8)
            return (folder.isEmpty ? path : "\(folder)/\(path)", text)
        }
    }

    @Test func kernelsAreCalledFromThreePlacesOnly() throws {
        let callers = try swiftFiles().filter { $0.text.contains("import CKernels") }.map(\.path)
        #expect(callers.contains { $0.hasPrefix("MoEModel/Backend/") })
        for path in callers {
            let isAllowed = ["MoEModel/Backend/", "Tensors/", "Quantization/"].contains { path.hasPrefix($0) }
            #expect(isAllowed, "\(path) imports CKernels")
        }
    }

    /// Above the backend activations are matrices: no file takes an address or computes one. A buffer that comes from a hook
    /// or goes to an observer is a parameter and is not computed with.
    @Test func noAddressIsComputedAboveTheBackend() throws {
        let words = [
            "UnsafeMutable", "UnsafePointer", "UnsafeRaw", ".base", "advanced(by", "assumingMemoryBound", ".row(",
        ]
        let above = try swiftFiles("MoEModel").filter { !$0.path.hasPrefix("MoEModel/Backend/") }
        #expect(above.count > 15)
        for (path, text) in above {
            for word in words { #expect(!text.contains(word), "\(path) contains \(word)") }
        }
    }
}
