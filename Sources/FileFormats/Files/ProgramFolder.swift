import CMappedFiles
import Foundation

/// Where this code lies: what comes with it (models, the Python package, the figures' library) is looked for from there.
package enum ProgramFolder {
    /// The file: the program, or the library that another program (Python) has loaded.
    package static let file: URL = {
        if let library = moescope_map_own_library() {
            return URL(fileURLWithPath: String(cString: library)).resolvingSymlinksInPath()
        }
        return URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    }()

    package static let url: URL = file.deletingLastPathComponent()

    /// That folder and all above it, nearest first.
    package static var withParents: [URL] { parents(of: url) }

    /// Where what comes with a checkout is looked for: that folder and all above it, then the working folder and all above that.
    package static var withParentsAndWorkingFolder: [URL] {
        withParents + parents(of: URL(fileURLWithPath: FileManager.default.currentDirectoryPath))
    }

    /// A folder and all above it, nearest first.
    package static func parents(of folder: URL) -> [URL] {
        var result = [folder.standardizedFileURL]
        while let last = result.last, last.path != "/" {
            let parent = last.deletingLastPathComponent().standardizedFileURL
            guard parent.path != last.path else { break }
            result.append(parent)
        }
        return result
    }
}
