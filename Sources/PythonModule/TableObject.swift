import CPython
import RoutingMetrics

/// `moescope.Table` as the native module sees it: names, columns as lists, and Arrow for everyone else.
enum TableObject {
    static func makeType() throws(PythonError) -> NativeType<TableStorage> {
        let length: @convention(c) (PythonObject?) -> Int = { object in
            guard let object else { return -1 }
            return types.table.payload(ofSelf: object).rowCount
        }
        return try NativeType(
            name: "moescope.Table",
            doc: """
                Named columns of equal length.

                Speaks Arrow's PyCapsule interface: pandas, Polars, DuckDB and pyarrow take it as it is.
                """,
            methods: [
                MethodEntry("__arrow_c_stream__", "An Arrow C stream of one batch, as a capsule.") { object, _, _ in
                    // A requested schema may be ignored, says the interface, where the producer has only one.
                    answering { () throws(PythonError) in
                        try ArrowStreamCapsule.make(ArrowTable(try types.table.payload(of: object)))
                    }
                },
                MethodEntry("csv", "csv() -> str: the table as RFC 4180 text that no spreadsheet runs.") {
                    object, _, _ in
                    answering { () throws(PythonError) in
                        let table = try types.table.payload(of: object).metricTable
                        return try ToPython.string(table.csvText(.file, spellsNonFinite: true)).release()
                    }
                },
                MethodEntry("column", "column(name) -> list: values, None where there is none.") {
                    object, arguments, count in
                    answering { () throws(PythonError) in
                        let table = try types.table.payload(of: object)
                        let arguments = try Arguments(arguments, count, expected: 1...1)
                        return try TableObject.column(table, named: try FromPython.string(try arguments[0], "name"))
                    }
                },
            ],
            getters: [
                (
                    "name", "What the table shows.",
                    { object, _ in
                        answering { () throws(PythonError) in
                            try ToPython.string(try types.table.payload(of: object).name).release()
                        }
                    }
                ),
                (
                    "columns", "Names of the columns, in order.",
                    { object, _ in
                        answering { () throws(PythonError) in
                            let columns = try types.table.payload(of: object).columns
                            return try ToPython.list(count: columns.count) { (index) throws(PythonError) in
                                try ToPython.string(columns[index].name).release()
                            }.release()
                        }
                    }
                ),
                (
                    "notes", "How the numbers came to be: definition, seeds, repetitions.",
                    { object, _ in
                        answering { () throws(PythonError) in
                            let dictionary = try PythonReference(PyDict_New())
                            for note in try types.table.payload(of: object).notes {
                                try set(dictionary, note.key, try ToPython.string(note.value))
                            }
                            return dictionary.release()
                        }
                    }
                ),
            ],
            slots: [PyType_Slot(Py_sq_length, length)])
    }

    static func list(_ tables: [TableStorage]) throws(PythonError) -> PythonObject {
        try ToPython.list(count: tables.count) { (index) throws(PythonError) in
            try types.table.make(tables[index]).release()
        }.release()
    }

    private static func column(_ table: TableStorage, named name: String) throws(PythonError) -> PythonObject {
        guard let column = table.columns.first(where: { $0.name == name }) else {
            let names = table.columns.map(\.name).joined(separator: ", ")
            throw .key("no column \"\(name)\"; the table has \(names)")
        }
        return try ToPython.list(count: table.rowCount) { (row) throws(PythonError) in
            let value: PythonObject? =
                switch column.values {
                case .ints(let values):
                    try values[row].map { (value) throws(PythonError) in try ToPython.int(value).release() }
                case .floats(let values):
                    try values[row].map { (value) throws(PythonError) in try ToPython.float(value).release() }
                case .strings(let values):
                    try values[row].map { (value) throws(PythonError) in try ToPython.string(value).release() }
                case .bools(let values): values[row].map { ToPython.bool($0) }
                }
            return value ?? ToPython.none()
        }.release()
    }
}
