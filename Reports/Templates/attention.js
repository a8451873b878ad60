"use strict";
// One head's attention over one document, beside the routing of the same tokens.
function startAttention(facts) {
  const at = (id) => document.getElementById(`attention-${id}`);
  const byIndex = new Map(browserTexts.map((text) => [text.index, text]));
  /** rows[q] = [[key, weight], …] by falling weight. */
  const decode = (head, n) => {
    const bytes = bytesOf(head.data);
    let at = 0;
    return Array.from({ length: n }, () => {
      const count = bytes[at++];
      return Array.from({ length: count }, () => { const entry = [bytes[at] | (bytes[at + 1] << 8), bytes[at + 2] / 255]; at += 3; return entry; });
    });
  };
  const keyed = []; // the spans marked as attended to: of thousands, only these are touched when the reader moves on
  let shown, head, rows, query = 0, pinned = false;
  const lines = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  lines.classList.add("lines");
  lines.setAttribute("aria-hidden", "true");
  const pane = new Pane(at("pane"), (_, i) => { if (!pinned) point(i); });
  const ink = () => getComputedStyle(document.documentElement).getPropertyValue("--accent");

  const paint = (canvas, rows, size) => {
    const n = rows.length;
    canvas.width = canvas.height = size;
    const context = canvas.getContext("2d"), scale = size / n;
    const image = context.createImageData(size, size);
    const [r, g, b] = colourOf(ink());
    rows.forEach((entries, q) => entries.forEach(([k, weight]) => {
      const x0 = Math.floor(k * scale), y0 = Math.floor(q * scale), x1 = Math.max(x0 + 1, Math.floor((k + 1) * scale)), y1 = Math.max(y0 + 1, Math.floor((q + 1) * scale));
      for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) {
        const p = 4 * (y * size + x), alpha = 255 * Math.sqrt(weight);
        if (alpha > image.data[p + 3]) { image.data[p] = r; image.data[p + 1] = g; image.data[p + 2] = b; image.data[p + 3] = alpha; }
      }
    }));
    context.putImageData(image, 0, 0);
  };
  const colourOf = (text) => {
    const probe = document.createElement("canvas").getContext("2d");
    probe.fillStyle = text.trim();
    probe.fillRect(0, 0, 1, 1);
    return probe.getImageData(0, 0, 1, 1).data;
  };

  const point = (i) => {
    query = i;
    const text = byIndex.get(shown.document), place = Math.max(0, text.facts.layers.indexOf(head.layer));
    const near = rows[i].slice(0, 24);
    // Every place is read before anything is written, so that a long document is laid out once, not once per line.
    const frame = pane.place.querySelector(".text").getBoundingClientRect();
    const centre = (span) => { const box = span.getClientRects()[0] ?? span.getBoundingClientRect(); return [box.left + box.width / 2 - frame.left, box.top + box.height / 2 - frame.top]; };
    const [x, y] = centre(pane.spans[i]), ends = near.map(([k]) => centre(pane.spans[k]));
    lines.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
    lines.replaceChildren();
    for (const span of keyed.splice(0)) { span.classList.remove("key"); span.style.removeProperty("--w"); }
    near.forEach(([k, weight], rank) => {
      keyed.push(pane.spans[k]);
      pane.spans[k].classList.add("key");
      pane.spans[k].style.setProperty("--w", weight);
      if (rank >= 12 || k === i) return;
      const [u, v] = ends[rank], lift = Math.min(60, 12 + Math.hypot(u - x, v - y) / 6);
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", `M${x},${y} C${x},${y - lift} ${u},${v - lift} ${u},${v}`);
      path.setAttribute("stroke-width", 0.8 + 4 * weight);
      path.setAttribute("opacity", Math.min(1, 0.25 + weight));
      lines.append(path);
    });
    inspect(at("inspector"), text, i, place);
    const list = make("ol", "bars");
    for (const [k, weight] of rows[i].slice(0, 8)) {
      const row = make("li"), bar = make("i"), track = make("span", "track"), name = make("bdi", "key-name", text.alone(k));
      bar.style.width = `${100 * weight}%`;
      track.append(bar);
      row.append(name, track, make("span", "share", percent(weight)));
      list.append(row);
    }
    at("inspector").prepend(make("p", "said", `Head ${head.head} of layer ${head.layer} attends to:`), list);
  };

  const choose = (next) => {
    head = next;
    rows = decode(head, shown.tokens);
    const text = byIndex.get(shown.document);
    at("selected").textContent = `Layer ${head.layer}, head ${head.head}`;
    for (const button of at("heads").querySelectorAll("button")) button.setAttribute("aria-pressed", button.dataset.key === `${head.layer}.${head.head}`);
    const place = Math.max(0, text.facts.layers.indexOf(head.layer));
    if (pane.text === text) pane.colour(place);
    else {
      pane.show(text, place);
      pane.place.querySelector(".text").append(lines);
    }
    paint(at("matrix"), rows, Math.min(1024, Math.max(256, rows.length)));
    point(Math.min(query, rows.length - 1));
  };
  const show = (place) => {
    shown = { ...facts.documents[place], tokens: byIndex.get(facts.documents[place].document).n };
    at("heads").replaceChildren();
    let line, layer = null;
    for (const each of shown.heads) {
      if (each.layer !== layer) { layer = each.layer; line = make("div", "line"); line.append(make("span", "", `${layer}`)); at("heads").append(line); }
      const button = make("button", "thumbnail"), canvas = make("canvas");
      button.type = "button";
      button.dataset.key = `${each.layer}.${each.head}`;
      button.setAttribute("aria-label", `Layer ${each.layer}, head ${each.head}`);
      button.append(canvas);
      button.addEventListener("click", () => choose(each));
      line.append(button);
      paint(canvas, decode(each, shown.tokens), 48);
    }
    query = Math.min(query, shown.tokens - 1);
    choose(shown.heads.find((each) => head && each.layer === head.layer && each.head === head.head) ?? shown.heads[0]);
  };
  facts.documents.forEach((entry, place) => {
    const text = byIndex.get(entry.document);
    at("document").append(Object.assign(make("option", "", `${text.name}: ${text.id}`), { value: place }));
  });
  at("document").addEventListener("change", () => show(Number(at("document").value)));
  at("pane").addEventListener("click", (event) => { if (event.target.closest(".t")) pinned = !pinned; });
  at("pane").addEventListener("focusin", (event) => { const span = event.target.closest(".t"); if (span) point(Number(span.dataset.i)); });
  at("matrix").addEventListener("pointermove", (event) => {
    const box = at("matrix").getBoundingClientRect();
    point(Math.min(rows.length - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * rows.length))));
  });
  document.addEventListener("recolour", () => show(Number(at("document").value)));
  document.addEventListener("expert", () => pane.colour(pane.layer));
  addEventListener("resize", () => point(query));
  document.getElementById("attention-viewer").hidden = false;
  at("off").hidden = true;
  show(0);
}

if (report.attention) startAttention(report.attention);
