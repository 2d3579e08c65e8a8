// Draws the report's curves as SVG from the JSON beside them. No library, no request.
"use strict";
(() => {
  const DATA = JSON.parse(document.getElementById("curves").textContent);
  const AXES = { epochs: "Epoch", steps: "Step", seconds: "Training time" };
  const UNITS = [["hours", 3600, 7200], ["minutes", 60, 300], ["seconds", 1, 0]];
  // Within a circle of radius 1: o s ^ D v P X, as in the figures.
  const MARKERS = [
    "M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z", "M-.85-.85H.85V.85H-.85Z",
    "M0-1.1L1 .8H-1Z", "M0-1.2L1.2 0L0 1.2L-1.2 0Z", "M0 1.1L1-.8H-1Z",
    "M-.4-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z",
    "M-.6-1.1L0-.5L.6-1.1L1.1-.6L.5 0L1.1 .6L.6 1.1L0 .5L-.6 1.1L-1.1 .6L-.5 0L-1.1-.6Z",
  ];
  const MARGIN = { left: 52, right: 14, top: 10, bottom: 40 };
  const LEAST_DRAG = 8, NEAR = 40, MOST_MARKERS = 12;  // pixels, pixels, of a curve
  const LEAST_SHOWN = 1e-4;  // of the whole: farther in, numbers lose their digits
  const hidden = new Set();
  let axis = "epochs";
  const charts = [];

  const svg = (name, attributes = {}, ...children) => fill(
    document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
  const html = (name, attributes = {}, ...children) => fill(
    document.createElement(name), attributes, children);
  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      element.setAttribute(name, value);
    }
    element.append(...children);  // texts stay texts: names come from anywhere
    return element;
  }

  // Round numbers between low and high, about `number` of them.
  function ticks(low, high, number, isWhole) {
    const rough = (high - low) / number, power = 10 ** Math.floor(Math.log10(rough));
    let step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
    if (isWhole && high - low >= 1) step = Math.max(1, Math.round(step));
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) {
      found.push(k * step || 0);  // no -0
    }
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    return found.map((value) => [value, value.toLocaleString("en", {
      minimumFractionDigits: digits, maximumFractionDigits: digits })]);
  }

  class Chart {
    constructor(holder) {
      this.panel = DATA.panels[holder.dataset.panel];
      this.zoomed = null;
      this.at = null;  // [curve, point] under the pointer or chosen by keys
      this.id = `plot-${charts.length}`;
      this.tip = html("div", { class: "tip", role: "status" });
      this.svg = svg("svg", {
        tabindex: 0, role: "group", "aria-roledescription": "chart",
        "aria-label": `${this.panel.title}: arrow keys go from point to point and ` +
          "curve to curve, plus and minus zoom, escape shows all",
      });
      this.stage = html("div", { class: "stage" }, this.svg, this.tip);
      this.legend = html("div", {
        class: "legend", role: "group", "aria-label": "Configurations shown" });
      this.reset = this.button("Show all", () => this.zoom(null));
      const select = html("select", {}, ...Object.entries(AXES).map(
        ([name, words]) => html("option", { value: name }, words)));
      select.addEventListener("change", () => {
        axis = select.value;
        for (const chart of charts) chart.zoom(null);
      });
      this.select = select;
      this.key = html("p", { class: "key" });
      holder.replaceChildren(
        html("div", { class: "bar" }, html("strong", {}, this.panel.title),
          html("label", {}, "against ", select), this.reset),
        this.stage, this.key);
      // Charts side by side share one legend.
      if (holder === holder.parentElement.firstElementChild) {
        holder.parentElement.after(this.legend);
      }
      for (const name of ["Down", "Move", "Up", "Leave", "Cancel"]) {
        this.svg.addEventListener(`pointer${name.toLowerCase()}`,
          (event) => this[`pointer${name}`](event));
      }
      this.svg.addEventListener("dblclick", () => this.zoom(null));
      this.svg.addEventListener("keydown", (event) => this.press(event));
      this.svg.addEventListener("blur", () => this.point(null));
    }

    button(words, act) {
      const button = html("button", { type: "button" }, words);
      button.addEventListener("click", act);
      return button;
    }

    shown() {
      return this.panel.curves.filter((curve) => !hidden.has(curve.of));
    }

    // What the axes go over when nothing is zoomed: all curves, hidden ones, too, so
    // that hiding one moves none.
    whole() {
      const xs = this.panel.curves.flatMap((curve) => curve[axis]);
      const ys = this.panel.curves.flatMap((curve) => curve.values).concat(
        this.panel.references.map((line) => line.value), this.panel.noise || []);
      let [left, right] = [Math.min(...xs), Math.max(...xs)];
      let [low, high] = [Math.min(...ys), Math.max(...ys)];
      const short = Math.max(0, this.panel.span - (high - low)) / 2;
      const room = 0.04 * (high - low) + short;
      [low, high] = [low - room, high + room];
      if (this.panel.most !== null && high > this.panel.most) {
        [low, high, this.isCut] = [0, this.panel.most, true];
      }
      const side = 0.03 * (right - left) || 0.5;
      return [left - side, right + side, low, high];
    }

    zoom(box) {
      if (box) {
        const [w0, w1, v0, v1] = this.whole();
        const wide = (a, b, least) => b - a >= least ? [a, b]
          : [(a + b - least) / 2, (a + b + least) / 2];
        box = [...wide(box[0], box[1], LEAST_SHOWN * (w1 - w0)),
          ...wide(box[2], box[3], LEAST_SHOWN * (v1 - v0))];
      }
      const focused = document.activeElement === this.reset;
      this.zoomed = box;
      this.draw();
      if (focused && this.reset.hidden) this.svg.focus();
    }

    draw() {
      this.at = null;
      this.tip.hidden = true;
      this.select.value = axis;
      this.reset.hidden = this.zoomed === null;
      this.width = Math.max(260, this.stage.clientWidth);
      this.height = Math.max(230, Math.min(360, Math.round(this.width * 0.55)));
      const right = this.width - MARGIN.right, bottom = this.height - MARGIN.bottom;
      const [x0, x1, y0, y1] = this.box = this.zoomed || this.whole();
      this.x = (x) => MARGIN.left + (x - x0) / (x1 - x0) * (right - MARGIN.left);
      this.y = (y) => bottom - (y - y0) / (y1 - y0) * (bottom - MARGIN.top);
      this.data = (px, py) => [
        x0 + (px - MARGIN.left) / (right - MARGIN.left) * (x1 - x0),
        y0 + (bottom - py) / (bottom - MARGIN.top) * (y1 - y0)];
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
      const inside = svg("g", { "clip-path": `url(#${this.id})` });
      this.svg.replaceChildren(
        svg("clipPath", { id: this.id }, svg("rect", {
          x: MARGIN.left, y: MARGIN.top - 5, width: right - MARGIN.left,
          height: bottom - MARGIN.top + 10 })),
        ...this.grid(right, bottom), inside);
      if (this.panel.noise) {
        const [low, high] = this.panel.noise.map(this.y);
        inside.append(svg("rect", {
          class: "noise", x: MARGIN.left, width: right - MARGIN.left, y: high,
          height: low - high }));
      }
      for (const { value } of this.panel.references) {
        inside.append(svg("line", {
          class: "reference", x1: MARGIN.left, x2: right, y1: this.y(value),
          y2: this.y(value) }));
      }
      for (const curve of this.shown()) inside.append(this.curve(curve));
      this.mark = svg("circle", { class: "mark", r: 6, visibility: "hidden" });
      this.drag = svg("rect", { class: "drag", visibility: "hidden" });
      inside.append(this.mark, this.drag);
      this.drawLegend();
    }

    grid(right, bottom) {
      const [x0, x1, y0, y1] = this.box, parts = [];
      let words = AXES[axis], scale = 1;
      if (this.panel.clock) words = axis === "seconds" ? words : `${words}s`;
      if (axis === "seconds") {
        const [unit, size] = UNITS.find(([, , least]) => x1 >= least) || UNITS[2];
        [words, scale] = [`Training time (${unit})`, size];
      }
      if (this.panel.clock) words += ` ${this.panel.clock}`;
      for (const [value, text] of ticks(
        x0 / scale, x1 / scale, Math.max(3, this.width / 90), axis !== "seconds")) {
        if (value < 0) continue;
        const x = this.x(value * scale);
        parts.push(svg("line", { class: "grid", x1: x, x2: x, y1: MARGIN.top, y2: bottom }),
          svg("text", { x, y: bottom + 16, "text-anchor": "middle" }, text));
      }
      for (const [value, text] of ticks(y0, y1, this.height / 42, false)) {
        const y = this.y(value);
        parts.push(svg("line", { class: "grid", x1: MARGIN.left, x2: right, y1: y, y2: y }),
          svg("text", { x: MARGIN.left - 7, y: y + 4, "text-anchor": "end" }, text));
      }
      if (this.isCut && !this.zoomed) words += ` \u00b7 cut off above ${y1.toFixed(2)}`;
      parts.push(
        svg("path", { class: "axes", d: `M${MARGIN.left} ${MARGIN.top}V${bottom}H${right}` }),
        svg("text", { x: (MARGIN.left + right) / 2, y: bottom + 34,
          "text-anchor": "middle" }, words));
      return parts;
    }

    curve(curve) {
      const look = DATA.configurations[curve.of];
      const points = curve.values.map((value, i) => [this.x(curve[axis][i]), this.y(value)]);
      const group = svg("g", { class: curve.thick ? "curve thick" : "curve thin",
        style: `--c:var(--c${look.colour})`, "data-of": curve.of });
      group.append(svg("path", { class: "line", "stroke-dasharray": curve.thick ? look.dash : "",
        d: "M" + points.map((point) => point.map((v) => v.toFixed(1)).join(" ")).join("L") }));
      const every = Math.ceil(points.length / MOST_MARKERS);
      if (curve.thick || points.length === 1) {
        points.forEach(([x, y], i) => {
          if (i % every === 0) group.append(this.marker(look, x, y));
        });
      }
      return group;
    }

    marker(look, x, y) {
      return svg("path", { class: "marker", d: MARKERS[look.marker],
        transform: `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(4)` });
    }

    drawLegend() {
      const focused = [...this.legend.children].indexOf(document.activeElement);
      const used = [...new Set(this.panel.curves.map((curve) => curve.of))].sort((a, b) => a - b);
      this.legend.replaceChildren(...used.map((of) => {
        const look = DATA.configurations[of];
        const sample = svg("svg", { class: "sample", viewBox: "0 0 40 12",
          style: `--c:var(--c${look.colour})`, "aria-hidden": "true" },
        svg("path", { class: "line", d: "M1 6H39", "stroke-dasharray": look.dash }),
        this.marker(look, 20, 6));
        const button = this.button("", () => {
          if (!hidden.delete(of)) hidden.add(of);
          for (const chart of charts) chart.draw();
        });
        button.setAttribute("aria-pressed", String(!hidden.has(of)));
        button.append(sample, html("bdi", {}, look.label));
        return button;
      }));
      const words = this.panel.references.map((line) => line.label);
      if (this.panel.noise) words.push("band: its 95 % interval (Wilson)");
      this.key.replaceChildren(
        svg("svg", { class: "sample", viewBox: "0 0 40 12", "aria-hidden": "true" },
          ...(this.panel.noise ? [svg("rect", {
            class: "noise", x: 0, y: 0, width: 40, height: 12 })] : []),
          svg("line", { class: "reference", x1: 1, x2: 39, y1: 6, y2: 6 })),
        words.join("; "));
      if (focused >= 0) this.legend.children[focused].focus();
    }

    // Show what stands at a point, [curve, its number], or nothing for null.
    point(at) {
      this.at = at;
      this.mark.setAttribute("visibility", at ? "visible" : "hidden");
      this.tip.hidden = !at;
      if (!at) return;
      const [curve, i] = at, look = DATA.configurations[curve.of];
      const x = this.x(curve[axis][i]), y = this.y(curve.values[i]);
      this.mark.setAttribute("cx", x);
      this.mark.setAttribute("cy", y);
      const whose = curve.seed === null ? "median" : `seed ${curve.seed}`;
      const time = Math.round(curve.seconds[i]).toLocaleString("en");
      this.tip.replaceChildren(
        html("b", {}, html("bdi", {}, look.label), `, ${whose}`),
        html("span", {}, `${this.panel.title} ${curve.values[i].toFixed(4)}`),
        html("span", {}, `epoch ${+curve.epochs[i].toPrecision(4)}, step ` +
          `${curve.steps[i].toLocaleString("en")}, ${time} s of training`));
      const scale = this.svg.clientWidth / this.width;
      const left = x * scale + (x > this.width / 2 ? -12 - this.tip.offsetWidth : 12);
      this.tip.style.left = `${Math.max(0, left)}px`;
      this.tip.style.top = `${Math.max(0, y * scale - this.tip.offsetHeight - 10)}px`;
    }

    place(event) {
      const box = this.svg.getBoundingClientRect(), scale = this.width / box.width;
      return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    }

    isInside(x, y) {
      const [x0, x1, y0, y1] = this.box;
      return x >= x0 && x <= x1 && y >= y0 && y <= y1;
    }

    nearest(px, py) {
      let best = null, least = NEAR ** 2;
      for (const curve of this.shown()) {
        curve.values.forEach((value, i) => {
          if (!this.isInside(curve[axis][i], value)) return;
          const far = (this.x(curve[axis][i]) - px) ** 2 + (this.y(value) - py) ** 2;
          // Of points in one place a median is meant.
          if (far < least || (far === least && curve.thick)) [best, least] = [[curve, i], far];
        });
      }
      return best;
    }

    pointerDown(event) {
      if (event.button !== 0) return;
      this.from = this.place(event);
      this.svg.setPointerCapture(event.pointerId);
    }

    pointerMove(event) {
      const to = this.place(event);
      if (!this.from) return this.point(this.nearest(...to));
      const [x, y, width, height] = this.frame(to);
      for (const [name, value] of Object.entries({ x, y, width, height })) {
        this.drag.setAttribute(name, value);
      }
      this.drag.setAttribute("visibility", width < LEAST_DRAG ? "hidden" : "visible");
    }

    // The dragged rectangle; one that is flat is of the whole height.
    frame([px, py]) {
      const [fx, fy] = this.from;
      const top = MARGIN.top, bottom = this.height - MARGIN.bottom;
      const clip = (v, low, high) => Math.max(low, Math.min(high, v));
      const [ax, bx] = [fx, px].map((v) => clip(v, MARGIN.left, this.width - MARGIN.right))
        .sort((a, b) => a - b);
      let [ay, by] = [fy, py].map((v) => clip(v, top, bottom)).sort((a, b) => a - b);
      if (by - ay < 2 * LEAST_DRAG) [ay, by] = [top, bottom];
      return [ax, ay, bx - ax, by - ay];
    }

    pointerUp(event) {
      if (!this.from) return;
      const [x, y, width, height] = this.frame(this.place(event));
      this.from = null;
      if (width < LEAST_DRAG) return this.point(this.nearest(...this.place(event)));
      const [x0, y1] = this.data(x, y), [x1, y0] = this.data(x + width, y + height);
      this.zoom([x0, x1, y0, y1]);
    }

    pointerLeave() {
      if (!this.from) this.point(null);
    }

    pointerCancel() {
      this.from = null;
      this.drag.setAttribute("visibility", "hidden");
      this.point(null);
    }

    press(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;  // the browser's own
      const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
      if (event.key === "Escape") this.zoom(null);
      else if ("+=".includes(event.key)) this.scale(0.5);
      else if (event.key === "-") this.scale(2);
      else if (steps[event.key]) this.step(...steps[event.key]);
      else return;
      event.preventDefault();
    }

    step(byCurve, byPoint) {
      const shown = this.shown().filter((curve) => curve.values.length)
        .sort((a, b) => a.of - b.of || b.thick - a.thick);
      if (!shown.length) return;
      if (!this.at) return this.point([shown[0], 0]);
      let [curve, i] = this.at;
      const place = (shown.indexOf(curve) + byCurve + shown.length) % shown.length;
      curve = shown[place];
      this.point([curve, Math.max(0, Math.min(curve.values.length - 1, i + byPoint))]);
    }

    // Zoom around the chosen point, or the middle; out ends at the whole.
    scale(factor) {
      const [x0, x1, y0, y1] = this.box, at = this.at;
      const x = at ? at[0][axis][at[1]] : (x0 + x1) / 2;
      const y = at ? at[0].values[at[1]] : (y0 + y1) / 2;
      const box = [x + (x0 - x) * factor, x + (x1 - x) * factor,
        y + (y0 - y) * factor, y + (y1 - y) * factor];
      const [w0, w1] = this.whole();
      this.zoom(box[1] - box[0] >= w1 - w0 ? null : box);
      this.point(at);
    }
  }

  for (const holder of document.querySelectorAll("[data-panel]")) {
    charts.push(new Chart(holder));
  }
  let width = 0;
  new ResizeObserver(() => {
    if (width !== (width = document.body.clientWidth)) for (const c of charts) c.draw();
  }).observe(document.body);
  // Charts in a folded section have no width until it is opened.
  for (const folded of document.querySelectorAll("details")) {
    folded.addEventListener("toggle", () => charts.forEach((chart) => chart.draw()));
  }
  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") target.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();
  addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details")) folded.open = true;
  });
  const root = document.documentElement, toggle = document.getElementById("theme");
  const isDark = () => (root.dataset.theme || (matchMedia(
    "(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { toggle.textContent = isDark() ? "Light" : "Dark"; };
  toggle.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    name();
  });
  toggle.hidden = false;
  name();
  for (const chart of charts) chart.draw();
})();
