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

/** Rows of a table of the page as objects. */
const rowsOf = (name) => {
  const table = report.tables[name];
  return table.rows.map((row) => Object.fromEntries(table.columns.map((column, i) => [column, row[i]])));
};

/** A specification with its "@name" colours replaced by the palette's. */
const coloured = (value, palette) => {
  if (typeof value === "string") return value.startsWith("@") && value.slice(1) in palette ? palette[value.slice(1)] : value;
  if (Array.isArray(value)) return value.map((entry) => coloured(entry, palette));
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, coloured(entry, palette)]));
  return value;
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
  const spec = coloured(figure.spec, palette);
  spec.config = coloured(report.config, palette);
  spec.datasets = Object.fromEntries(figure.tables.map((name) => [name, rowsOf(name)]));
  if (spec.layer) spec.layer = spec.layer.filter((layer) => isDrawable(layer, spec));
  figures.get(figure.id)?.finalize();
  const result = await vegaEmbed(place, spec, {
    ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true, theme: "custom" },
  });
  for (const [name, value] of Object.entries(settings.get(figure.id) ?? {})) await result.view.signal(name, value).runAsync();
  figures.set(figure.id, result);
  // A figure wider than its place can be scrolled by keyboard too.
  if (place.scrollWidth > place.clientWidth) place.tabIndex = 0; else place.removeAttribute("tabindex");
  const drawn = place.querySelector("svg");
  if (drawn) { drawn.setAttribute("role", "img"); drawn.setAttribute("aria-label", figure.label); }
  place.closest("figure").querySelector("details.numbers")?.removeAttribute("open");
}

async function drawAll() {
  for (const figure of report.figures) {
    try {
      await draw(figure);
    } catch (error) {
      document.querySelector(`[data-figure="${figure.id}"]`)?.classList.add("failed");
      console.error(`figure ${figure.id}: ${error.message}`);
    }
  }
  document.documentElement.dataset.drawn = "all";
}

for (const control of document.querySelectorAll("[data-control]")) {
  control.addEventListener("input", () => {
    control.parentElement.querySelector("output").textContent = control.value;
    for (const card of control.closest("section").querySelectorAll(".card")) card.hidden = card.dataset.layer !== control.value;
    for (const id of control.dataset.figures.split(" ").filter(Boolean)) {
      settings.set(id, { ...settings.get(id), [control.dataset.control]: Number(control.value) });
      figures.get(id)?.view.signal(control.dataset.control, Number(control.value)).runAsync();
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
  if (window.vegaEmbed) drawAll();
};
scheme.addEventListener("change", recolour);

// Paper is light whatever the screen is. Drawing waits for nothing but promises, so it is done when the event is.
const print = (printing) => {
  draw.printing = printing;
  if (window.vegaEmbed) drawAll();
};
addEventListener("beforeprint", () => print(true));
addEventListener("afterprint", () => print(false));

let width = innerWidth, timer = 0;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  clearTimeout(timer);
  timer = setTimeout(() => window.vegaEmbed && drawAll(), 150);
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

if (window.vegaEmbed) drawAll();
else for (const place of document.querySelectorAll(".plot")) place.classList.add("failed");
