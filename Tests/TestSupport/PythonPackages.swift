import Foundation

/// Files that come with the Python packages of the repository's `.venv` (see `Scripts/setup`).
public enum PythonPackages {
    /// The file at this path below `site-packages`, or nil where the package is not installed.
    public static func file(_ path: String) -> URL? {
        let library = Fixtures.repository.appending(path: ".venv/lib")
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: library.path)) ?? []
        return versions.sorted().map { library.appending(path: "\($0)/site-packages/\(path)") }
            .first { FileManager.default.fileExists(atPath: $0.path) }
    }
}
