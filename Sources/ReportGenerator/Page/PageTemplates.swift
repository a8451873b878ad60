import CReportTemplates
import FileFormats
import Mustache

/// The templates of Reports/Templates/, as they were when the program was built.
struct PageTemplates: Sendable {
    private static let files: [String: String] = {
        var files: [String: String] = [:]
        for index in 0..<crt_template_count() {
            let file = crt_template_at(index)
            let bytes = UnsafeBufferPointer(start: file.bytes, count: Int(file.size))
            files[String(cString: file.name)] = String(decoding: bytes, as: UTF8.self)
        }
        return files
    }()
    private let library: MustacheLibrary

    init() throws(ReportError) {
        var templates: [String: MustacheTemplate] = [:]
        for (name, text) in Self.files where name.hasSuffix(".mustache") {
            do {
                templates[String(name.dropLast(".mustache".count))] = try MustacheTemplate(string: text)
            } catch {
                throw .template(name: name, reason: "\(error)")
            }
        }
        library = MustacheLibrary(templates: templates)
    }

    /// A file that is no template: the style sheet, a script, what a simulation counted.
    static func text(of name: String) throws(ReportError) -> String {
        guard let text = files[name] else { throw .template(name: name, reason: "not built into this program") }
        return text
    }

    func render(_ values: JSON, with name: String) throws(ReportError) -> String {
        try render(values.object?.forTemplates ?? [:], with: name)
    }

    func render(_ object: [String: Any], with name: String) throws(ReportError) -> String {
        guard let text = library.render(object, withTemplate: name) else {
            throw .template(name: name + ".mustache", reason: "not built into this program")
        }
        return text
    }
}

extension JSONObject {
    fileprivate var forTemplates: [String: Any] {
        Dictionary(uniqueKeysWithValues: zip(keys, values.map(\.forTemplates)))
    }
}

extension JSON {
    /// As Mustache takes values.
    fileprivate var forTemplates: Any {
        switch self {
        case .null: false
        case .bool(let value): value
        case .int(let value): value
        case .double(let value): value
        case .string(let value): value
        case .array(let values): values.map(\.forTemplates)
        case .object(let members): members.forTemplates
        }
    }
}
