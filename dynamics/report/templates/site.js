"use strict";
// Reads values off the figures, saves them as PNG, opens what is folded for print and for links.
// It knows no figure: `readings` says where the curves and cells of each lie (dynamics/report/hover.py).
(() => {
  const readings = JSON.parse(document.getElementById("readings").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const NEAR = 5; // a mark this close to the crosshair is named with it, in units of the SVG
  const FAR = 30; // beyond this distance from every panel nothing is read
  const PNG_SCALE = 3;

  function element(name, text, className) {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    if (className) node.className = className;
    return node;
  }

  function shape(name, attributes) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  }

  // Three significant digits, as the tables have them.
  function number(value) {
    if (value === null) return "–";
    if (value === 0) return "0";
    const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
    return (digits <= 5 ? value.toFixed(digits) : value.toExponential(2)).replace("-", "−");
  }

  function place(x) {
    if (typeof x !== "number") return x;
    return Number.isInteger(x) ? String(x).replace("-", "−") : number(x);
  }

  function value([, , , y, low, high]) {
    return number(y) + (low === null || high === null ? "" : ` [${number(low)}, ${number(high)}]`);
  }

  function distance([left, top, right, bottom], x, y) {
    return Math.hypot(Math.max(left - x, 0, x - right), Math.max(top - y, 0, y - bottom));
  }

  // The index of the place nearest to `at`.
  function nearest(places, at) {
    let best = 0;
    places.forEach((p, k) => { if (Math.abs(p - at) < Math.abs(places[best] - at)) best = k; });
    return best;
  }

  // The cell between two of its edges, which may ascend or descend; clamped to the first and last.
  function between(edges, at) {
    const upper = edges.findIndex((edge, k) => k && (at - edge) * (at - edges[k - 1]) <= 0);
    return upper > 0 ? upper - 1 : nearest([edges[0], edges[edges.length - 1]], at) * (edges.length - 2);
  }

  class Plot {
    constructor(node, data) {
      Object.assign(this, { node, data, sheet: node.querySelector(".sheet"), svg: node.querySelector("svg") });
      this.ink = this.svg.appendChild(shape("g", { class: "crosshair", "aria-hidden": "true" }));
      this.spoken = node.appendChild(element("div", "", "spoken"));
      this.spoken.setAttribute("aria-live", "polite");
      this.boxes = [];
      this.at = null; // {group, stop} of curves, or {group, row, column} of cells
      this.groups = [...new Set(data.panels.map(panel => panel.group))].map(id => this.group(id));
      this.sheet.addEventListener("pointermove", event => this.point(event));
      this.sheet.addEventListener("pointerdown", event => this.point(event));
      this.sheet.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") this.hide(); });
      node.addEventListener("keydown", event => this.key(event));
      node.addEventListener("blur", () => this.hide());
    }

    // Panels over one x axis, and the places at which they have measured points, else marks.
    group(id) {
      const panels = this.data.panels.filter(panel => panel.group === id);
      const cells = panels.find(panel => panel.cells);
      if (cells) return { panels: [cells], cells: cells.cells };
      const curves = panels.flatMap(panel => panel.curves);
      const measured = curves.filter(curve => curve.measured);
      const stops = new Map();
      for (const curve of measured.length ? measured : curves)
        for (const [px, , x] of curve.points) if (!stops.has(px)) stops.set(px, x);
      if (!stops.size)
        for (const mark of panels.flatMap(panel => panel.marks)) stops.set(mark.at[0], mark.x);
      const places = [...stops.keys()].sort((a, b) => a - b);
      return { panels, places, names: places.map(px => stops.get(px)), cells: null };
    }

    point(event) {
      const box = this.svg.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * this.data.width;
      const y = (event.clientY - box.top) / box.height * this.data.height;
      const away = group => Math.min(...group.panels.map(panel => distance(panel.box, x, y)));
      const index = nearest(this.groups.map(away), 0);
      const group = this.groups[index];
      if (!group || away(group) > FAR) { this.hide(); return; }
      this.show(group.cells
        ? { index, row: between(group.cells.y, y), column: between(group.cells.x, x) }
        : { index, stop: nearest(group.places, x) });
    }

    key(event) {
      if (event.key === "Escape") { this.hide(); return; }
      const across = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
      const down = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.altKey || event.ctrlKey || event.metaKey || (!across && !down) || !this.groups.length) return;
      event.preventDefault();
      this.step(across, down);
      this.follow();
    }

    // One place on, across or down.
    step(across, down) {
      const clamp = (k, count) => Math.min(Math.max(k, 0), count - 1);
      const start = this.at || { index: 0, stop: -1, row: 0, column: -1 };
      const group = this.groups[start.index];
      if (group.cells) {
        const rows = group.cells.values.length, columns = group.cells.values[0].length;
        const row = start.row + (down || 0);
        if (row < 0 || row >= rows) this.enter(start.index + down);
        else this.show({ index: start.index, row, column: clamp(start.column + (across || 0), columns) });
      } else if (down) this.enter(start.index + down);
      else this.show({ index: start.index, stop: clamp(start.stop + across, group.places.length) });
    }

    // Where the figure is wider than its card, the crosshair stays in sight.
    follow() {
      const mark = this.ink.querySelector("line, rect");
      if (!mark || this.node.scrollWidth <= this.node.clientWidth) return;
      const { left, width } = mark.getBoundingClientRect(), seen = this.node.getBoundingClientRect();
      this.node.scrollLeft += left + width / 2 - (seen.left + seen.width / 2);
    }

    // The first place of another group of panels, where there is one.
    enter(index) {
      if (index < 0 || index >= this.groups.length) return;
      this.show(this.groups[index].cells ? { index, row: 0, column: 0 } : { index, stop: 0 });
    }

    show(at) {
      if (this.at && Object.keys(at).every(key => at[key] === this.at[key])) return;
      this.hide();
      this.at = at;
      const group = this.groups[at.index];
      this.spoken.textContent = group.cells ? this.showCell(group, at) : this.showStop(group, at.stop);
    }

    showCell(group, { row, column }) {
      const { x, y, rows, columns, values } = group.cells;
      const [left, right] = [x[column], x[column + 1]].sort((a, b) => a - b);
      const [top, bottom] = [y[row], y[row + 1]].sort((a, b) => a - b);
      this.ink.append(shape("rect", { x: left, y: top, width: right - left, height: bottom - top }));
      const head = [rows[row], columns[column]].filter(Boolean).join(", ");
      const box = this.box(group.panels[0], (left + right) / 2, false);
      box.append(element("strong", head), element("span", number(values[row][column])));
      return `${head}: ${number(values[row][column])}`;
    }

    showStop(group, stop) {
      const px = group.places[stop], head = `${group.panels[0].x} ${place(group.names[stop])}`.trim();
      const compact = group.panels.length > 2, spoken = [head];
      group.panels.forEach((panel, k) => {
        const [, top, , bottom] = panel.box;
        this.ink.append(shape("line", { x1: px, x2: px, y1: top, y2: bottom }));
        const box = this.box(panel, px, compact);
        if (!compact || k === 0) box.append(element("strong", head));
        for (const curve of panel.curves)
          for (const point of curve.points.filter(p => Math.abs(p[0] - px) < 0.5)) {
            this.ink.append(shape("circle", { cx: point[0], cy: point[1], r: 4 }));
            box.append(this.entry(curve.colour, compact ? number(point[3]) : `${curve.name} ${value(point)}`));
            spoken.push(`${compact ? `${panel.title}, ` : ""}${curve.name} ${value(point)}`);
          }
        for (const mark of panel.marks.filter(m => Math.abs(m.at[0] - px) < NEAR)) {
          box.append(this.entry(mark.colour, mark.text));
          spoken.push(mark.text);
        }
        if (!box.childNodes.length) box.remove();
      });
      return spoken.join("; ");
    }

    entry(colour, text) {
      const line = element("span", undefined, "entry"), dot = element("i");
      dot.style.background = colour;
      line.append(dot, element("bdi", text));
      return line;
    }

    // A box for values inside a panel, at the side that the crosshair leaves free.
    box(panel, px, compact) {
      const [left, top, right] = panel.box, { width, height } = this.data;
      const box = this.sheet.appendChild(element("div", undefined, compact ? "readout compact" : "readout"));
      box.style.top = `${100 * top / height}%`;
      if (px > (left + right) / 2) box.style.left = `${100 * left / width}%`;
      else box.style.right = `${100 * (1 - right / width)}%`;
      box.setAttribute("aria-hidden", "true");
      this.boxes.push(box);
      return box;
    }

    hide() {
      this.ink.replaceChildren();
      this.boxes.forEach(box => box.remove());
      this.boxes = [];
      this.at = null;
      this.spoken.textContent = "";
    }
  }

  // The figure as a PNG on white, in the colours of the light scheme. Nothing is fetched: the page
  // may come from a disk, where a browser lends no file to a canvas.
  function picture(svg) {
    const copy = svg.cloneNode(true), [, , width, height] = svg.getAttribute("viewBox").split(/\s+/).map(Number);
    copy.querySelectorAll(".crosshair").forEach(node => node.remove());
    for (const node of [copy, ...copy.querySelectorAll("*")])
      for (const { name, value } of [...node.attributes]) {
        const colour = value === "currentColor" ? readings.light.ink : readings.light[value.slice(6, -1)];
        if (value.startsWith("var(--") || value === "currentColor") node.setAttribute(name, colour);
      }
    copy.prepend(shape("rect", { width, height, fill: "#ffffff" }));
    const size = { xmlns: SVG, width: width * PNG_SCALE, height: height * PNG_SCALE, "font-family": readings.font };
    for (const [name, value] of Object.entries(size)) copy.setAttribute(name, value);
    const image = new Image(), canvas = element("canvas");
    Object.assign(canvas, { width: width * PNG_SCALE, height: height * PNG_SCALE });
    return new Promise((resolve, reject) => {
      image.onload = () => { canvas.getContext("2d").drawImage(image, 0, 0); canvas.toBlob(resolve, "image/png"); };
      image.onerror = reject;
      image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
    });
  }

  async function savePicture(figure, name) {
    const svg = [...figure.querySelectorAll(".plot svg")].find(node => node.getClientRects().length);
    const link = element("a");
    link.href = URL.createObjectURL(await picture(svg));
    link.download = `${name}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  for (const node of document.querySelectorAll(".plot")) new Plot(node, readings.plots[node.dataset.plot]);

  for (const line of document.querySelectorAll(".downloads[data-name]")) {
    const button = element("button", "PNG"), figure = line.closest("figure");
    button.type = "button";
    button.setAttribute("aria-label", `PNG: ${figure.querySelector(".name").textContent}`);
    button.addEventListener("click", () => savePicture(figure, line.dataset.name));
    line.append(" ", button);
  }

  function unfold() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (target) target.scrollIntoView();
  }
  window.addEventListener("hashchange", unfold);
  if (location.hash) unfold();

  const folded = () => document.querySelectorAll("details:not([open]):not(.numbers)");
  window.addEventListener("beforeprint", () => folded().forEach(node => { node.open = true; node.dataset.print = ""; }));
  window.addEventListener("afterprint", () => {
    for (const node of document.querySelectorAll("details[data-print]")) { node.open = false; delete node.dataset.print; }
  });
})();
