"use strict";
// Tables can be copied and searched, and those that are in the page can be saved from it.
{
  /** What a cell copies as: numbers as programs read them, text that no spreadsheet takes for a formula. */
  const copied = (cell) => {
    const text = cell.textContent.replace(/[\t\r\n]+/g, " ").trim();
    if (cell.classList.contains("n")) return text === "–" ? "" : text.replaceAll(",", "").replace(/^−/, "-");
    return /^[=+\-@'＝＋－＠]/.test(text) ? `'${text}` : text;
  };
  const rowsOfTable = (table) => [...table.rows].map((row) => [...row.cells].map(copied).join("\t")).join("\n") + "\n";
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Where the browser gives no clipboard to a file: the old way.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      if (!done) throw new Error("no clipboard");
    }
  };

  const mostRows = 200;
  /** A number as the page writes it: few digits, grouped thousands. */
  const written = (value) => {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return value;
    if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en-US").replace("-", "−");
    const size = Math.abs(value);
    const text = size >= 100 ? Math.round(value).toLocaleString("en-US") : size >= 10 ? value.toFixed(1)
      : size >= 0.095 ? value.toFixed(2) : size >= 0.0095 ? value.toFixed(3) : size >= 0.00095 ? value.toFixed(4) : value.toExponential(1);
    return text.replace("-", "−");
  };
  /** Rows of a table of the page that have what is asked for. */
  const search = (name, asked) => {
    const { columns, count, column } = tableOf(name);
    const parts = columns.map((each) => ({ name: each, cells: column(each) }));
    const keys = parts.filter(({ cells }) => cells.isKey);
    const found = [];
    for (let row = 0; row < count && found.length <= mostRows; row++) if (hasWords(asked, keys, row)) found.push(row);
    return { columns, rows: found.map((row) => parts.map(({ cells }) => cells.at(row))) };
  };
  const tableFrom = ({ columns, rows }, caption) => {
    const table = document.createElement("table");
    table.createCaption().textContent = caption;
    const head = table.createTHead().insertRow(), body = table.createTBody();
    for (const name of columns) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name.replaceAll("_", " ");
      head.append(cell);
    }
    for (const row of rows) {
      const line = body.insertRow();
      for (const value of row) {
        const cell = line.insertCell();
        cell.textContent = written(value);
        if (typeof value === "number" || value === null) cell.className = "n";
      }
    }
    return table;
  };

  for (const scroller of document.querySelectorAll(".scroller")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.title = "Copies the rows shown, with tabs between the cells";
    const said = status();
    button.addEventListener("click", async () => {
      const table = [...scroller.querySelectorAll("table")].find((each) => !each.hidden);
      try {
        await copy(rowsOfTable(table));
        said.textContent = `${(table.rows.length - 1).toLocaleString("en-US")} rows copied`;
      } catch {
        said.textContent = "The browser did not allow it.";
      }
    });
    const name = scroller.dataset.table;
    if (name && report.tables[name] && scroller.dataset.long) {
      const field = searchField("Find rows: words, or column=value", "Find rows: layer=3 expert=7", said, (asked) => {
        scroller.querySelector(".found")?.remove();
        const whole = scroller.querySelector("table");
        whole.hidden = asked.length > 0;
        if (!asked.length) return "";
        const rows = search(name, asked), more = rows.rows.length > mostRows;
        if (more) rows.rows.length = mostRows;
        const table = tableFrom(rows, whole.caption?.textContent ?? name);
        table.classList.add("found");
        scroller.append(table);
        return more ? `the first ${mostRows} rows that fit` : `${rows.rows.length} ${rows.rows.length === 1 ? "row fits" : "rows fit"}`;
      });
      toolsBefore(scroller, field, button, said);
    } else toolsBefore(scroller, button, said);
  }

  // Links to tables that are in the page.
  const embedded = document.getElementById("report-tables");
  if (embedded) {
    const files = JSON.parse(embedded.textContent);
    document.addEventListener("click", async (event) => {
      const link = event.target.closest?.("a[data-table]");
      if (!link || !(link.dataset.table in files)) return;
      event.preventDefault();
      const text = await new Response(new Blob([bytesOf(files[link.dataset.table])]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
      const save = document.createElement("a");
      save.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
      save.download = `${link.dataset.table}.csv`;
      save.click();
      setTimeout(() => URL.revokeObjectURL(save.href), 10_000);
    });
  }
}
