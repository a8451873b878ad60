"use strict";
// Draws the figures out of the tables in the page, and keeps the controls, the colours and the contents in step.
const report = JSON.parse(document.getElementById("report-data").textContent);
const scheme = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 40rem)");
/** Drawn figures by id: the result of vegaEmbed. Tests read the scene through it. */
const figures = new Map();
const settings = new Map();

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : scheme.matches;
};

/** Bytes of base64. */
const bytesOf = (text) => {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const decoded = atob(text), bytes = new Uint8Array(decoded.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = decoded.charCodeAt(i);
  return bytes;
};
/** The number of a half-precision float; null for one that is none. */
const half = (bits) => {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023, sign = bits >> 15 ? -1 : 1;
  if (exponent === 31) return null;
  const value = sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  return Number(value.toPrecision(4));
};
const unpacked = new Map();
/** A table of the page by columns: small ones are rows in JSON, large ones packed arrays. A column that rows are looked up by, a
 *  text or a small integer, is a key. */
const tableOf = (name) => {
  if (unpacked.has(name)) return unpacked.get(name);
  const { columns, rows, packed, count } = report.tables[name];
  const known = new Map();
  const read = (column) => {
    if (rows) {
      const i = columns.indexOf(column);
      return { at: (row) => rows[row][i], isKey: rows.some((row) => typeof row[i] === "string" || Number.isInteger(row[i])) };
    }
    const { kind, data, texts } = packed[column];
    const bytes = bytesOf(data), wide = kind === "u8" ? bytes : kind === "u32" ? new Uint32Array(bytes.buffer) : new Uint16Array(bytes.buffer);
    if (texts) return { at: (row) => texts[wide[row]] ?? null, isKey: true };
    return kind === "f16" ? { at: (row) => half(wide[row]), isKey: false } : { at: (row) => wide[row], isKey: true };
  };
  const table = { columns, count: rows ? rows.length : count, column: (column) => { if (!known.has(column)) known.set(column, read(column)); return known.get(column); } };
  unpacked.set(name, table);
  return table;
};
const rowsByLayer = new Map();
/** The places of a table's rows by layer. */
const placesOf = (name) => {
  if (!rowsByLayer.has(name)) {
    const { count, column } = tableOf(name), layers = column("layer"), places = new Map();
    for (let row = 0; row < count; row++) { const layer = layers.at(row); if (!places.has(layer)) places.set(layer, []); places.get(layer).push(row); }
    rowsByLayer.set(name, places);
  }
  return rowsByLayer.get(name);
};
/** Rows of a table of the page as objects; of one layer, where a figure shows one at a time. */
const rowsOf = (name, layer) => {
  const { columns, count, column } = tableOf(name);
  const parts = columns.map((each) => [each, column(each)]);
  const places = layer === undefined ? Array.from({ length: count }, (_, row) => row) : placesOf(name).get(layer) ?? [];
  return places.map((row) => {
    const found = {};
    for (const [each, cells] of parts) found[each] = cells.at(row);
    return found;
  });
};
/** What a reader wants of figures of many rows: by figure, whether a row is shown. */
const wanted = new Map();
/** The rows that a figure shows. */
const shownRows = (figure, name, layer) => {
  const rows = rowsOf(name, isByLayer(figure, name) ? layer : undefined), fits = wanted.get(figure.id);
  return fits ? rows.filter(fits) : rows;
};
/** Whether a figure takes its rows layer by layer: it follows a slider, and its table is large. */
const isByLayer = (figure, name) => figure.layer !== undefined && report.tables[name].count !== undefined && report.tables[name].columns.includes("layer");
/** More marks than this are painted, fewer are drawn as elements of the page. */
const manyMarks = 1500;

/** A specification with its "@name" colours replaced by the palette's. */
const coloured = (value, palette) => {
  if (typeof value === "string") return value.startsWith("@") && value.slice(1) in palette ? palette[value.slice(1)] : value;
  if (Array.isArray(value)) return value.map((entry) => coloured(entry, palette));
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, coloured(entry, palette)]));
  return value;
};

/** A specification without its tooltips, which are put into a list. Vega would write thousands of them anew at every step of a slider, and one
 *  is read; so a mark has the place in the list only, from 1, and its lines are written when it is pointed at. */
const withoutTooltips = (value, tips) => {
  if (Array.isArray(value)) return value.map((entry) => withoutTooltips(entry, tips));
  if (!value || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) =>
    [key, key === "tooltip" && Array.isArray(entry) ? { value: tips.push(entry) } : withoutTooltips(entry, tips)]));
};
const tooltip = document.createElement("div");
tooltip.id = "vg-tooltip-element";
document.body.append(tooltip);
/** Shows the lines of what is pointed at beside the pointer, or hides them. */
const tell = (locale, lines, event, item) => {
  tooltip.classList.toggle("visible", Boolean(lines));
  if (!lines) return;
  const table = document.createElement("table");
  for (const { field, title, type, format } of lines) {
    const cells = table.insertRow(), value = item.datum[field];
    for (const [name, text] of [["key", title], ["value", value == null ? "–" : type === "quantitative" ? locale.format(format)(value) : `${value}`]])
      Object.assign(cells.insertCell(), { className: name, textContent: text });
  }
  tooltip.replaceChildren(table);
  const { width, height } = tooltip.getBoundingClientRect(), gap = 10;
  const beside = (at, size, room) => Math.max(0, at + gap + size > room ? at - gap - size : at + gap);
  tooltip.style.left = `${beside(event.clientX, width, innerWidth)}px`;
  tooltip.style.top = `${beside(event.clientY, height, innerHeight)}px`;
};

/** Pixels between the margins of A4 and of US letter paper. */
const paperWidth = 660;

/** Whether a layer has anything to draw: a trace of few documents has values and no intervals. */
const isDrawable = (layer, spec) => {
  const field = layer.encoding?.y?.field;
  const rows = spec.datasets[(layer.data ?? spec.data)?.name] ?? [];
  return !rows.length || !(field in rows[0]) || rows.some((row) => row[field] != null);
};

async function draw(figure) {
  const place = document.querySelector(`[data-figure="${figure.id}"]`);
  if (!place) return;
  const palette = { ...report.palettes[isDark() && !draw.printing ? "dark" : "light"] };
  const width = Math.floor(place.getBoundingClientRect().width);
  const room = Math.max(260, draw.printing ? Math.min(width, paperWidth) : width);
  palette.columns = Math.max(1, Math.min(figure.columns ?? 1, Math.floor(room / (figure.cell ?? room))));
  palette.cellWidth = Math.floor(room / palette.columns) - (figure.margin ?? 40);
  palette.room = room - (figure.margin ?? 60);
  palette.legendColumns = Math.max(2, Math.floor(room / 110));
  const layer = settings.get(figure.id)?.layer ?? figure.layer;
  const datasets = Object.fromEntries(figure.tables.map((name) => [name, shownRows(figure, name, layer)]));
  const across = new Set((datasets[figure.tables[0]] ?? []).map((row) => row[figure.spec.encoding?.x?.field])).size;
  palette.gap = Math.min(1.5, palette.room / (8 * Math.max(1, across)));
  const tips = [];
  const spec = withoutTooltips(coloured(figure.spec, palette), tips);
  spec.config = coloured(report.config, palette);
  spec.datasets = datasets;
  // Rows that come layer by layer need not be asked for theirs.
  if (figure.tables.every((name) => isByLayer(figure, name))) spec.transform = spec.transform?.filter(({ filter }) => filter !== "datum.layer == layer");
  const marks = Math.max(0, ...Object.values(spec.datasets).map((rows) => rows.length / (figure.layer === undefined || figure.tables.some((name) => isByLayer(figure, name)) ? 1 : 8)));
  // What is painted is no element of the page, so names of single marks would be written for nobody; the figure has one, and a table.
  if (marks > manyMarks) spec.config.aria = false;
  if (spec.layer) spec.layer = spec.layer.filter((layer) => isDrawable(layer, spec));
  figures.get(figure.id)?.finalize();
  const result = await vegaEmbed(place, spec, {
    ast: true, actions: false, renderer: marks > manyMarks ? "canvas" : "svg", defaultStyle: false, tooltip: (_, event, item, place) => tell(result.view.locale(), tips[place - 1], event, item),
  });
  for (const [name, value] of Object.entries(settings.get(figure.id) ?? {})) await result.view.signal(name, value).runAsync();
  figures.set(figure.id, result);
  // A figure wider than its place can be scrolled by keyboard too.
  if (place.scrollWidth > place.clientWidth) place.tabIndex = 0; else place.removeAttribute("tabindex");
  const drawn = place.querySelector("svg, canvas");
  if (drawn) { drawn.setAttribute("role", "img"); drawn.setAttribute("aria-label", figure.label); }
}

/** Figures whose picture is not there or out of date, those near the reader, and those that were drawn once. */
const stale = new Set(report.figures.map(({ id }) => id)), near = new Set(), known = new Set();
let round = 0;
/** Draws figures that are out of date, from the top. Where it pauses, the page answers its reader between two of them. */
async function redraw(isWanted, pauses = false) {
  const mine = ++round;
  for (const figure of report.figures) {
    if (!stale.has(figure.id) || !isWanted(figure)) continue;
    stale.delete(figure.id);
    known.add(figure.id);
    try {
      await draw(figure);
    } catch (error) {
      const place = document.querySelector(`[data-figure="${figure.id}"]`);
      place?.classList.add("failed");
      place?.closest("figure").querySelector("details.numbers")?.setAttribute("open", "");
      console.error(`figure ${figure.id}: ${error.message}`);
    }
    if (mine === round && pauses) await new Promise((resume) => setTimeout(resume));
    if (mine !== round) return;
  }
  document.documentElement.dataset.drawn = stale.size ? "near" : "all";
}
const drawNear = () => redraw(({ id }) => near.has(id), true);
/** Draws every figure, wherever the reader is. */
const drawAll = () => redraw(() => true);
/** Draws again what was drawn in other colours or for another width. */
const drawAgain = () => {
  for (const { id } of report.figures) stale.add(id);
  return redraw(({ id }) => near.has(id) || known.has(id));
};

for (const control of document.querySelectorAll("[data-control]")) {
  control.addEventListener("input", () => {
    control.parentElement.querySelector("output").textContent = control.value;
    for (const card of control.closest("section").querySelectorAll(".card")) card.hidden = card.dataset.layer !== control.value;
    for (const id of control.dataset.figures.split(" ").filter(Boolean)) {
      settings.set(id, { ...settings.get(id), [control.dataset.control]: Number(control.value) });
      const view = figures.get(id)?.view, value = Number(control.value);
      if (!view) continue;
      const figure = report.figures.find((each) => each.id === id);
      view.signal(control.dataset.control, value);
      for (const name of figure.tables) if (isByLayer(figure, name)) view.data(name, shownRows(figure, name, value));
      view.runAsync();
    }
  });
}

const themes = ["", "light", "dark"];
const themeButton = document.getElementById("theme");
themeButton.hidden = false;
themeButton.addEventListener("click", () => {
  const root = document.documentElement;
  const next = themes[(themes.indexOf(root.dataset.theme ?? "") + 1) % themes.length];
  if (next) root.dataset.theme = next; else delete root.dataset.theme;
  themeButton.setAttribute("aria-label", `Colours: ${next || "as the system is set"}`);
  recolour();
});
const recolour = () => {
  document.dispatchEvent(new Event("recolour"));
  if (window.vegaEmbed) drawAgain();
};
scheme.addEventListener("change", recolour);

// Paper is light whatever the screen is. Drawing waits for nothing but promises, so it is done when the event is.
const print = (printing) => {
  draw.printing = printing;
  if (!window.vegaEmbed) return;
  for (const { id } of report.figures) stale.add(id);
  drawAll();
};
addEventListener("beforeprint", () => print(true));
addEventListener("afterprint", () => print(false));

let width = innerWidth, timer = 0;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  clearTimeout(timer);
  timer = setTimeout(() => window.vegaEmbed && drawAgain(), 150);
});

const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const link of links.values()) link.removeAttribute("aria-current");
    links.get(entry.target.id)?.setAttribute("aria-current", "true");
  }
}, { rootMargin: "-10% 0px -75% 0px" });
for (const id of links.keys()) { const section = document.getElementById(id); if (section) seen.observe(section); }

if (window.vegaEmbed) {
  for (const numbers of document.querySelectorAll("details.numbers")) numbers.removeAttribute("open");
  // Figures are drawn when the reader comes near: a page of many opens as fast as one of few.
  const reader = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) near.add(target.dataset.figure); else near.delete(target.dataset.figure);
    drawNear();
  }, { rootMargin: "100% 0px" });
  for (const place of document.querySelectorAll(".plot")) reader.observe(place);
} else for (const place of document.querySelectorAll(".plot")) place.classList.add("failed");
