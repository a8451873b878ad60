"use strict";
// Finds what a reader asks for among many: rows of tables, rows and columns of figures, experts.
/** What is asked for: alternatives between commas, words that all must fit. */
const askedFor = (text) => text.toLowerCase().split(",").map((part) => part.split(/\s+/).filter(Boolean)).filter((words) => words.length);
/** Whether a row has what is asked for. A word is a whole number, a part of a text, or column=value.
 *  @param keys columns that are looked at: [{ name, cells }] */
const hasWords = (asked, keys, row) => asked.some((words) => words.every((word) => {
  const [, only, value] = word.match(/^([a-z_]+)[=:](.*)$/) ?? [null, null, word];
  return keys.some((key) => {
    if (only && !key.name.replaceAll("_", "").startsWith(only.replaceAll("_", ""))) return false;
    const cell = key.cells.at(row);
    return typeof cell === "string" ? cell.toLowerCase().includes(value) : String(cell) === value;
  });
}));
/** Where a tool says what it did. */
const status = () => {
  const said = document.createElement("span");
  said.setAttribute("role", "status");
  return said;
};
/** A field to search with.
 *  @param find gets what is asked for a moment after the last key, and gives the text to say. */
const searchField = (label, placeholder, said, find) => {
  const field = Object.assign(document.createElement("input"), { type: "search", placeholder, spellcheck: false, autocomplete: "off" });
  field.setAttribute("aria-label", label);
  let timer = 0;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => { said.textContent = find(askedFor(field.value)); }, 120);
  });
  return field;
};
const toolsBefore = (place, ...parts) => {
  const tools = document.createElement("div");
  tools.className = "table-tools";
  tools.append(...parts);
  place.before(tools);
};
/** As many groups, layers or experts are seen at a glance. */
const atAGlance = 16;

// Figures of many rows show those that are asked for.
if (window.vegaEmbed) for (const figure of report.figures) {
  const place = document.querySelector(`[data-figure="${figure.id}"]`), { x, y } = figure.spec.encoding ?? {}, name = figure.tables[0];
  if (!place || x?.type !== "ordinal" || y?.type !== "ordinal" || !report.tables[name].columns.includes(y.field)) continue;
  const table = tableOf(name), rows = table.column(y.field), seen = new Set();
  for (let row = 0; row < table.count && seen.size <= atAGlance; row++) seen.add(rows.at(row));
  if (seen.size <= atAGlance) continue;
  const axes = [x, y].map(({ field }) => field).filter((field) => table.columns.includes(field));
  const what = y.field.replaceAll("_", " ");
  const label = `Find in the figure: ${what}s, or column=value; commas between several`, said = status();
  const example = [...seen].slice(0, 2).map((value) => (typeof value === "number" ? `${what}=${value}` : value)).join(", ");
  toolsBefore(place, searchField(label, `Find: ${example}`, said, (asked) => {
    const found = new Set(), whole = new Set(), columns = axes.map((each) => ({ name: each, cells: table.column(each) }));
    for (let row = 0; row < table.count; row++) {
      whole.add(rows.at(row));
      if (hasWords(asked, columns, row)) found.add(rows.at(row));
    }
    const keys = axes.map((each) => ({ name: each, cells: { at: (row) => row[each] } }));
    if (found.size) wanted.set(figure.id, (row) => hasWords(asked, keys, row)); else wanted.delete(figure.id);
    stale.add(figure.id);
    redraw(({ id }) => id === figure.id);
    return !asked.length ? "" : found.size ? `${found.size} of ${whole.size} ${what}s` : "nothing fits";
  }), said);
}

// Of many experts the first cards are shown, and those that are asked for.
for (const cards of document.querySelectorAll(".cards")) {
  const all = [...cards.children], places = new Map();
  for (const card of all) {
    const place = places.get(card.dataset.layer) ?? 0;
    places.set(card.dataset.layer, place + 1);
    card.classList.toggle("beyond", place >= atAGlance);
  }
  const most = Math.max(0, ...places.values());
  if (most <= atAGlance) continue;
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: `Show all ${most}` });
  const said = status();
  const field = searchField("Find experts: numbers, groups or tokens; commas between several", "Find experts: 7, 12", said, (asked) => {
    let found = 0;
    for (const card of all) {
      const text = card.textContent.toLowerCase();
      const has = (word) => (/^\d+$/.test(word) ? card.dataset.expert === word : text.includes(word));
      const fits = !asked.length || asked.some((words) => words.every(has));
      card.classList.toggle("unwanted", !fits);
      if (fits && !card.hidden) found++;
    }
    cards.classList.toggle("whole", asked.length > 0 || button.getAttribute("aria-pressed") === "true");
    return asked.length ? `${found} of ${most} experts` : "";
  });
  button.addEventListener("click", () => {
    const isWhole = cards.classList.toggle("whole");
    button.setAttribute("aria-pressed", isWhole);
    button.textContent = isWhole ? `Show ${atAGlance}` : `Show all ${most}`;
  });
  toolsBefore(cards, field, button, said);
}
