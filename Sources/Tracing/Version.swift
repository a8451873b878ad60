/// The version of MoEScope: what commands print, and what traces record.
public enum Version {
    public static let current = "0.1.0"
}
