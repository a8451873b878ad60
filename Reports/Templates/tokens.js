"use strict";
// Tokens in their text, coloured by where the router sent them. Every piece of corpus text goes through textContent.
const make = (name, className, text) => {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};

/** One document of the page with its arrays: n tokens, L layers, E experts, K slots. */
class RoutedText {
  constructor(data, facts) {
    Object.assign(this, data);
    this.n = data.length;
    this.facts = facts;
    const ids = bytesOf(data.ids);
    this.places = Array.from({ length: this.n }, (_, i) => ids[2 * i] | (ids[2 * i + 1] << 8));
    this.surprise = bytesOf(data.surprise);
    const chosen = bytesOf(data.chosen);
    this.chosen = facts.wide ? Array.from({ length: chosen.length / 2 }, (_, i) => chosen[2 * i] | (chosen[2 * i + 1] << 8)) : chosen;
    this.weights = bytesOf(data.weights);
    this.probabilities = data.probabilities ? bytesOf(data.probabilities) : null;
  }
  /** As it stands in its text. */
  text(i) { return this.facts.pieces[this.places[i]][0]; }
  /** By itself: white space is visible. */
  alone(i) { const [inText, , alone] = this.facts.pieces[this.places[i]]; return alone ?? inText; }
  tokenId(i) { return this.facts.pieces[this.places[i]][1]; }
  /** [[expert, weight], …] of a token at the place of a layer. */
  slots(layer, i) {
    const { slots, experts } = this.facts, start = (layer * this.n + i) * slots;
    return Array.from({ length: slots }, (_, k) => [this.chosen[start + k], this.weights[start + k] / 255 * (this.facts.mostWeight ?? 1)]).filter(([e]) => e < experts);
  }
  first(layer, i) { return this.chosen[(layer * this.n + i) * this.facts.slots]; }
  probability(layer, i, expert) {
    const { experts } = this.facts;
    return this.probabilities ? this.probabilities[(layer * this.n + i) * experts + expert] / 255 : null;
  }
}

const expertColour = (expert) => {
  const set = report.palettes[isDark() ? "dark" : "light"].category;
  if (report.browser.experts <= set.length) return set[expert];
  return `hsl(${(expert * 137.508) % 360} ${expert % 2 ? 70 : 50}% ${isDark() ? 66 : 42}%)`;
};
const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

/** A pane of text: spans of tokens, one of them in the tab order, arrows to walk. */
class Pane {
  constructor(place, onToken) {
    this.place = place;
    this.onToken = onToken;
    this.spans = [];
    place.addEventListener("pointerover", (event) => this.visit(event.target, false));
    place.addEventListener("focusin", (event) => this.visit(event.target, true));
    place.addEventListener("keydown", (event) => this.walk(event));
  }
  show(text, layer) {
    this.text = text;
    this.place.replaceChildren();
    const heading = make("p", "source");
    heading.append(make("b", "", text.name), ` ${text.id}${text.n < text.tokens ? `, the first ${text.n} of ${text.tokens} tokens` : `, ${text.n} tokens`}`);
    const body = make("div", "text");
    if (text.lang) body.lang = text.lang;
    body.dir = text.dir;
    this.spans = Array.from({ length: text.n }, (_, i) => {
      const span = make("span", "t", text.text(i));
      span.dataset.i = i;
      span.tabIndex = i ? -1 : 0;
      body.append(span);
      if (text.text(i).includes("\n")) span.classList.add("break");
      return span;
    });
    this.place.append(heading, body);
    this.colour(layer);
  }
  colour(layer) {
    this.layer = layer;
    if (!this.text) return;
    const lit = browserState.expert;
    this.spans.forEach((span, i) => {
      const first = this.text.first(layer, i);
      span.style.setProperty("--c", first < 255 ? expertColour(first) : "transparent");
      span.classList.toggle("dim", lit !== null && !this.text.slots(layer, i).some(([expert]) => expert === lit));
    });
  }
  visit(target, focused) {
    const span = target.closest?.(".t");
    if (!span || !this.place.contains(span)) return;
    if (focused) { this.spans.forEach((each) => (each.tabIndex = -1)); span.tabIndex = 0; }
    this.current?.classList.remove("current");
    this.current = span;
    span.classList.add("current");
    this.onToken(this, Number(span.dataset.i));
  }
  focus(i) { this.spans[i]?.focus({ preventScroll: true }); this.spans[i]?.scrollIntoView({ block: "nearest" }); }
  walk(event) {
    const span = event.target.closest?.(".t");
    if (!span) return;
    const i = Number(span.dataset.i), forward = this.text.dir === "rtl" ? "ArrowLeft" : "ArrowRight", back = this.text.dir === "rtl" ? "ArrowRight" : "ArrowLeft";
    let next;
    if (event.key === forward) next = i + 1;
    else if (event.key === back) next = i - 1;
    else if (event.key === "Home") next = 0;
    else if (event.key === "End") next = this.text.n - 1;
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") next = this.lineNeighbour(i, event.key === "ArrowDown");
    else return;
    event.preventDefault();
    if (next >= 0 && next < this.text.n) this.focus(next);
  }
  lineNeighbour(i, down) {
    const from = this.spans[i].getBoundingClientRect(), step = down ? 1 : -1;
    let best = i, distance = Infinity, line = null;
    for (let j = i + step; j >= 0 && j < this.text.n; j += step) {
      const box = this.spans[j].getBoundingClientRect();
      if (down ? box.top < from.bottom - 2 : box.bottom > from.top + 2) continue;
      line ??= box.top;
      if (Math.abs(box.top - line) > 4) break;
      if (Math.abs(box.left - from.left) < distance) { distance = Math.abs(box.left - from.left); best = j; }
    }
    return best;
  }
}

/** Everything the trace knows of one token: experts with probability and weight, margin, surprise, the path through the layers. */
function inspect(place, text, i, layer) {
  const { experts, layers, slots } = text.facts;
  const chosen = new Map(text.slots(layer, i));
  const heading = make("p", "token");
  const shown = make("bdi", "", text.alone(i));
  if (text.lang) shown.lang = text.lang;
  heading.append(shown, make("small", "", ` id ${text.tokenId(i)}, position ${i}`));
  const bits = text.surprise[i] / 8;
  const said = make("p", "said", text.surprise[i] === 255 ? "This is the first token. Nothing predicts it." : `The model gave it a probability of ${percent(2 ** -bits)} (${bits.toFixed(1)} bits of surprisal).`);
  const list = make("ol", "bars");
  const order = Array.from({ length: experts }, (_, e) => e).sort((a, b) =>
    (text.probability(layer, i, b) ?? chosen.get(b) ?? 0) - (text.probability(layer, i, a) ?? chosen.get(a) ?? 0) || a - b);
  const sorted = order.map((e) => text.probability(layer, i, e));
  for (const expert of order.slice(0, 12)) {
    const row = make("li", chosen.has(expert) ? "chosen" : "");
    const share = text.probability(layer, i, expert) ?? chosen.get(expert) ?? 0;
    const bar = make("i");
    bar.style.setProperty("--c", expertColour(expert));
    bar.style.width = `${Math.max(0.5, 100 * share)}%`;
    const track = make("span", "track");
    track.append(bar);
    row.append(make("b", "", `${expert}`), track, make("span", "share", percent(share)),
      make("span", "weight", chosen.has(expert) ? `× ${chosen.get(expert).toFixed(2)}` : ""));
    list.append(row);
  }
  const margin = text.probabilities && slots < experts ? ` The margin of the last choice is ${percent(sorted[slots - 1] - sorted[slots])}.` : "";
  const path = make("p", "path", "First expert in each layer: ");
  layers.forEach((number, place) => {
    const step = make("span", place === layer ? "here" : "", `${text.first(place, i)}`);
    step.style.setProperty("--c", expertColour(text.first(place, i)));
    step.title = `layer ${number}`;
    path.append(step);
  });
  place.replaceChildren(heading, said, make("p", "said", `Probability of each expert in layer ${layers[layer]}, and weight (×) of those chosen.${margin}`), list, path);
}

const browserState = { expert: null };

function startBrowser(facts) {
  const at = (id) => document.getElementById(`browser-${id}`);
  const texts = facts.documents.map((data) => new RoutedText(data, facts));
  const panesPlace = at("panes");
  const panes = [0, 1].map(() => new Pane(panesPlace.appendChild(make("div", "pane")), (pane, i) => inspect(at("inspector"), pane.text, i, layer)));
  const slider = at("layer");
  let layer = Math.max(0, facts.layers.indexOf(facts.start));
  slider.max = facts.layers.length - 1;
  slider.value = layer;
  const option = (text, value) => Object.assign(make("option", "", text), { value });
  const groups = new Map();
  texts.forEach((text, place) => {
    if (!groups.has(text.group)) { const group = make("optgroup"); group.label = text.name; groups.set(text.group, group); at("document").append(group); }
    groups.get(text.group).append(option(text.id, place));
  });

  const showBeside = () => {
    const text = texts[at("beside").value];
    panes[1].place.hidden = !text;
    panesPlace.classList.toggle("two", Boolean(text));
    if (text) panes[1].show(text, layer);
    legend();
  };
  const show = (place) => {
    at("document").value = place;
    const text = texts[place];
    panes[0].show(text, layer);
    const others = texts.map((other, index) => [other, index]).filter(([other]) => other !== text && text.parallel !== null && other.parallel === text.parallel);
    const before = texts[at("beside").value]?.group;
    at("beside").replaceChildren(option(others.length ? "none" : "no parallel text", ""), ...others.map(([other, index]) => option(other.name, index)));
    const keep = others.find(([other]) => other.group === before) ?? (innerWidth > 900 ? others[0] : undefined);
    at("beside").value = keep ? keep[1] : "";
    showBeside();
    inspect(at("inspector"), text, Math.min(1, text.n - 1), layer);
  };
  const legend = () => {
    slider.parentElement.querySelector("output").textContent = facts.layers[layer];
    const counts = new Array(facts.experts).fill(0);
    for (const pane of panes) if (pane.text && !pane.place.hidden) for (let i = 0; i < pane.text.n; i++) counts[pane.text.first(layer, i)]++;
    [...at("experts").children].forEach((chip, expert) => {
      chip.style.setProperty("--c", expertColour(expert));
      chip.setAttribute("aria-pressed", browserState.expert === expert);
      chip.lastChild.textContent = counts[expert];
    });
  };
  const recolour = () => { panes.forEach((pane) => pane.colour(layer)); legend(); find(); document.dispatchEvent(new Event("expert")); };
  for (let expert = 0; expert < facts.experts; expert++) {
    const chip = make("button", "chip");
    chip.type = "button";
    chip.append(make("b", "", `Expert ${expert}`), " ", make("span"));
    chip.addEventListener("click", () => { browserState.expert = browserState.expert === expert ? null : expert; recolour(); });
    at("experts").append(chip);
  }

  const find = () => {
    const wanted = at("search").value.trim().toLocaleLowerCase();
    const hits = at("hits");
    hits.replaceChildren();
    if (!wanted) return;
    const matching = new Set(facts.pieces.flatMap(([piece], place) => (piece.trim().toLocaleLowerCase() === wanted ? [place] : [])));
    let exact = true;
    if (!matching.size) { exact = false; facts.pieces.forEach(([piece], place) => piece.toLocaleLowerCase().includes(wanted) && matching.add(place)); }
    const places = [];
    const counts = new Map();
    texts.forEach((text, number) => text.places.forEach((place, i) => {
      if (!matching.has(place)) return;
      places.push([number, i]);
      const expert = text.first(layer, i);
      counts.set(expert, (counts.get(expert) ?? 0) + 1);
    }));
    const spread = [...counts].sort((a, b) => b[1] - a[1]).map(([expert, count]) => `expert ${expert} (${count})`).join(", ");
    hits.append(make("p", "note", places.length
      ? `${places.length} ${places.length === 1 ? "place" : "places"} ${exact ? "" : "of tokens that contain it "}in the ${texts.length} ${texts.length === 1 ? "document" : "documents"} of this page. First expert in layer ${facts.layers[layer]}: ${spread}.`
      : "There is no such token in the documents of this page."));
    const list = make("ul");
    for (const [number, i] of places.slice(0, 80)) {
      const text = texts[number], jump = make("button", "hit");
      jump.type = "button";
      jump.dir = text.dir;
      if (text.lang) jump.lang = text.lang;
      const mark = make("mark", "", text.text(i));
      mark.style.setProperty("--c", expertColour(text.first(layer, i)));
      const around = (from, to) => Array.from({ length: Math.max(0, to - from) }, (_, k) => text.text(from + k)).join("");
      jump.append(make("small", "", `${text.first(layer, i)} `), around(Math.max(0, i - 6), i), mark, around(i + 1, Math.min(text.n, i + 7)));
      jump.addEventListener("click", () => { show(number); panes[0].focus(i); });
      list.append(make("li"));
      list.lastChild.append(jump);
    }
    hits.append(list);
  };

  at("document").addEventListener("change", () => show(Number(at("document").value)));
  at("beside").addEventListener("change", showBeside);
  slider.addEventListener("input", () => { layer = Number(slider.value); recolour(); if (panes[0].current) inspect(at("inspector"), panes[0].text, Number(panes[0].current.dataset.i), layer); });
  at("search").addEventListener("input", find);
  document.addEventListener("recolour", recolour);
  document.getElementById("browser").hidden = false;
  at("off").hidden = true;
  show(0);
  return texts;
}

const browserTexts = report.browser ? startBrowser(report.browser) : [];
