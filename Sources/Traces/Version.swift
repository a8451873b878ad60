/// The version of MoEScope: what commands print, what traces and pages record, and what the Python package is built with. Nothing else
/// says it.
public enum Version {
    public static let current = "0.1.0"
}
