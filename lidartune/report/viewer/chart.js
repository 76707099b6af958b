// Learning curves of chosen settings in one frame: read with the mouse, a finger or the arrow keys.
(() => {
  const source = document.getElementById("curves"), place = document.getElementById("chart");
  if (!source || !place) return;
  const data = JSON.parse(source.textContent);
  if (!data.settings.length) return;
  const MOST = 6, NEAR_PX = 48;
  const KIND_COLOR = ["--warm", "--warm", "--blue", "--grey"], DASH = ["", "7 4", "", "1.5 3.5"], FINETUNING = 2;
  const KIND_WIDTH = [1.7, 1.7, 2.3, 1.9];
  const SVG = "http://www.w3.org/2000/svg";
  const draw = (name, attributes, parent, ...text) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "style") Object.assign(element.style, value);
      else element.setAttribute(key, value);
    }
    element.append(...text);
    if (parent) parent.append(element);
    return element;
  };
  const make = (name, fields = {}, ...inside) => {
    const element = Object.assign(document.createElement(name), fields);
    element.append(...inside);
    return element;
  };
  const AXIS_WORDS = {
    backbone: "backbone", width: "width", pretrain_epochs: "pretraining", freeze: "freeze", labelled_scans: "scans",
  };

  // ---- what is chosen
  const slots = new Array(MOST).fill(null); // place in the order of colours -> setting
  data.settings.forEach((setting, i) => { if (setting.chosen && slots.includes(null)) slots[slots.indexOf(null)] = i; });
  const kinds = data.kinds.map(() => true);
  let seeds = true, read = null; // read: {line, point} that is being read
  const chosen = () => slots.filter((i) => i !== null);
  const color = (slot, kind) => `var(${chosen().length > 1 ? "--c" + slot : KIND_COLOR[kind]})`;

  // ---- the lines of what is chosen
  function mean(line, at) {
    const there = line.y.map((seed) => seed[at]).filter((value) => value !== null);
    if (!there.length) return null;
    const sum = there.reduce((a, b) => a + b, 0);
    return { y: sum / there.length, low: Math.min(...there), high: Math.max(...there), seeds: there.length };
  }

  function lines() {
    const found = [], once = new Set();
    slots.forEach((number, slot) => {
      if (number === null) return;
      const setting = data.settings[number];
      setting.lines.forEach((part, kind) => {
        if (!part || !kinds[kind]) return;
        const [index, last, offset] = part, line = data.lines[index];
        // In colours of kinds a shared line is drawn once; in those of settings each has its own.
        if (once.has(`${slot} ${kind}`)) return;
        once.add(`${slot} ${kind}`);
        const points = [];
        line.epochs.forEach((epoch, at) => {
          if (epoch > last) return;
          const value = mean(line, at);
          if (value) points.push({ x: line.updates[at] + offset, epoch, at, ...value });
        });
        if (points.length) found.push({ slot, kind, setting, line, offset, last, points });
      });
    });
    return found;
  }

  // ---- drawing
  const SHAPES = ["circle", "square", "triangle", "diamond", "down", "cross"];
  function mark(slot, x, y, size, parent, fill, stroke) {
    const r = size, path = {
      circle: `M${x - r},${y}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0z`,
      square: `M${x - r},${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
      triangle: `M${x},${y - 1.2 * r}l${1.15 * r},${2.1 * r}h${-2.3 * r}z`,
      diamond: `M${x},${y - 1.35 * r}l${1.35 * r},${1.35 * r}l${-1.35 * r},${1.35 * r}l${-1.35 * r},${-1.35 * r}z`,
      down: `M${x},${y + 1.2 * r}l${1.15 * r},${-2.1 * r}h${-2.3 * r}z`,
      cross: `M${x - r},${y - r}l${2 * r},${2 * r}m0,${-2 * r}l${-2 * r},${2 * r}`,
    }[SHAPES[slot]];
    return draw("path", { d: path, "stroke-width": 1.6, style: { fill, stroke } }, parent);
  }

  function ticks(most, room) {
    const rough = most / Math.max(2, room), power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const found = [];
    for (let value = 0; value <= most * 1.0001; value += step) found.push(value);
    return found;
  }

  const svg = draw("svg", { tabindex: 0, role: "application", "aria-roledescription": "chart" });
  svg.setAttribute("aria-label", "Learning curves of the chosen settings. Arrow keys left and right read the points of a "
    + "curve, up and down go to another curve.");
  const reading = make("div", { className: "reading", hidden: true });
  const said = make("div", { className: "hush" });
  said.setAttribute("role", "status");
  const drawing = make("div", { className: "drawing" }, svg, reading, said);
  let shown = [], scale = null;

  function redraw() {
    const width = Math.max(260, drawing.clientWidth || 600), height = width < 520 ? 280 : 380;
    const left = 40, right = 12, top = 12, bottom = 40;
    shown = lines();
    const all = shown.flatMap((each) => each.points);
    const mostX = Math.max(1, ...all.map((p) => p.x)), mostY = Math.max(1, ...all.map((p) => (seeds ? p.high : p.y))) * 1.06;
    scale = {
      x: (v) => left + (v / mostX) * (width - left - right), y: (v) => height - bottom - (v / mostY) * (height - top - bottom),
      left, right: width - right, top, bottom: height - bottom, width, height,
    };
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.style.height = height + "px";
    const grid = draw("g", {}, svg);
    for (const value of ticks(mostY, height / 60)) {
      draw("line", { x1: left, x2: scale.right, y1: scale.y(value), y2: scale.y(value), style: { stroke: "var(--rule)" } }, grid);
      draw("text", { x: left - 7, y: scale.y(value) + 4, "text-anchor": "end" }, grid, String(+value.toFixed(6)));
    }
    for (const value of ticks(mostX, width / 90)) {
      draw("line", { x1: scale.x(value), x2: scale.x(value), y1: top, y2: scale.bottom, style: { stroke: "var(--rule)" } }, grid);
      draw("text", { x: scale.x(value), y: scale.bottom + 16, "text-anchor": "middle" }, grid, value.toLocaleString("en"));
    }
    draw("path", { d: `M${left},${top}V${scale.bottom}H${scale.right}`, fill: "none", style: { stroke: "var(--ink)" } }, grid);
    draw("text", { x: scale.right, y: height - 6, "text-anchor": "end" }, grid, "updates since pretraining began");
    draw("text", { x: left + 6, y: top + 4 }, grid, "validation mIoU [%]");
    for (const each of shown) drawLine(each);
    if (!shown.length) draw("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, svg, "nothing is chosen");
    document.body.dataset.frames = 1 + Number(document.body.dataset.frames || 0);
    document.body.dataset.lines = shown.length;
    readPoint();
    tabulate();
  }

  function drawLine(each) {
    const stroke = color(each.slot, each.kind), group = draw("g", { class: "line" }, svg);
    group.dataset.kind = each.kind;
    const path = (values) => {
      let d = "", pen = "M";
      for (const [x, y] of values) {
        if (y === null) { pen = "M"; continue; }
        d += `${pen}${scale.x(x).toFixed(1)},${scale.y(y).toFixed(1)}`;
        pen = "L";
      }
      return d;
    };
    const style = { stroke, fill: "none", strokeLinejoin: "round", strokeLinecap: DASH[each.kind] === "1.5 3.5" ? "round" : "butt" };
    if (seeds && each.line.y.length > 1) {
      for (const seed of each.line.y) {
        const values = each.points.map((p) => [p.x, seed[p.at]]);
        draw("path", { d: path(values), "stroke-width": 0.8, opacity: 0.45, "stroke-dasharray": DASH[each.kind], style }, group);
      }
    }
    const values = each.points.map((p) => [p.x, p.y]);
    draw("path", { d: path(values), "stroke-width": KIND_WIDTH[each.kind], "stroke-dasharray": DASH[each.kind], style }, group);
    const several = chosen().length > 1, end = each.points[each.points.length - 1];
    if (several) mark(each.slot, scale.x(end.x), scale.y(end.y), 3.6, group, stroke, stroke);
    if (each.kind === FINETUNING && each.points[0].epoch === 0) {
      mark(several ? each.slot : 0, scale.x(each.points[0].x), scale.y(each.points[0].y), 4.6, group, "var(--paper)", stroke);
    }
  }

  // ---- reading values
  const ring = draw("g", { style: { pointerEvents: "none" } });
  function readPoint() {
    const line = read && shown[read.line], point = line && line.points[read.point];
    ring.replaceChildren();
    reading.hidden = !point;
    if (!point) { read = null; return; }
    svg.append(ring);
    const x = scale.x(point.x), y = scale.y(point.y);
    draw("line", { x1: x, x2: x, y1: scale.top, y2: scale.bottom, "stroke-dasharray": "2 3", style: { stroke: "var(--soft)" } }, ring);
    draw("circle", { cx: x, cy: y, r: 6.5, "stroke-width": 2, style: { stroke: color(line.slot, line.kind), fill: "none" } }, ring);
    const value = `${point.y.toFixed(1)} %`;
    const spread = point.seeds > 1 ? `${point.seeds} seeds, ${point.low.toFixed(1)} to ${point.high.toFixed(1)}` : "1 seed";
    const where = `epoch ${point.epoch}, ${point.x.toLocaleString("en")} updates`;
    reading.replaceChildren(make("b", {}, value), ` ${data.kinds[line.kind]}`, make("br"), where, make("br"), spread);
    if (chosen().length > 1) reading.append(make("br"), line.setting.label);
    said.textContent = `${data.kinds[line.kind]}, ${line.setting.label}: ${value} at ${where}; ${spread}`;
    const room = drawing.clientWidth, wide = reading.offsetWidth;
    reading.style.left = Math.max(0, x + 14 + wide > room ? x - 14 - wide : x + 14) + "px";
    reading.style.top = Math.max(0, Math.min(scale.height - reading.offsetHeight, y - 20)) + "px";
  }

  function nearest(event) {
    const box = svg.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let best = null, least = NEAR_PX;
    shown.forEach((each, line) => each.points.forEach((p, point) => {
      const far = Math.hypot(scale.x(p.x) - x, scale.y(p.y) - y);
      if (far < least) { least = far; best = { line, point }; }
    }));
    return best;
  }

  svg.addEventListener("pointermove", (event) => { read = nearest(event); readPoint(); });
  svg.addEventListener("pointerdown", (event) => { read = nearest(event); readPoint(); });
  svg.addEventListener("pointerleave", () => { read = null; readPoint(); });
  svg.addEventListener("blur", () => { read = null; readPoint(); });
  svg.addEventListener("keydown", (event) => {
    const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key], other = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.key === "Escape") read = null;
    else if (!shown.length || !(sideways || other || event.key === "Home" || event.key === "End")) return;
    else if (!read) {
      const first = shown.findIndex((each) => each.kind === FINETUNING);
      read = { line: Math.max(0, first), point: 0 };
    } else {
      if (other) read.line = (read.line + other + shown.length) % shown.length;
      const last = shown[read.line].points.length - 1;
      if (event.key === "Home") read.point = 0;
      else if (event.key === "End") read.point = last;
      else read.point = Math.min(last, Math.max(0, read.point + (sideways || 0)));
    }
    event.preventDefault();
    readPoint();
  });

  // ---- choosing
  function sample(style) {
    const small = draw("svg", { width: 30, height: 14, "aria-hidden": "true" });
    if (style.kind !== undefined) {
      draw("line", { x1: 1, x2: 29, y1: 7, y2: 7, "stroke-width": KIND_WIDTH[style.kind], "stroke-dasharray": DASH[style.kind],
        style: { stroke: `var(${chosen().length > 1 ? "--ink" : KIND_COLOR[style.kind]})` } }, small);
    } else if (style.slot >= 0) {
      const stroke = color(style.slot, FINETUNING);
      draw("line", { x1: 1, x2: 29, y1: 7, y2: 7, "stroke-width": 2.2, style: { stroke } }, small);
      if (chosen().length > 1) mark(style.slot, 15, 7, 4, small, stroke, stroke);
    }
    return small;
  }

  const kindBoxes = make("fieldset", { className: "kinds" }), settingBoxes = make("fieldset");
  const list = make("div", { className: "list" }), filters = make("div", { className: "filters" });
  const count = make("span");
  count.setAttribute("role", "status");
  const samples = [];
  data.kinds.forEach((name, kind) => {
    const box = make("input", { type: "checkbox", checked: true }), holder = make("span");
    box.addEventListener("change", () => { kinds[kind] = box.checked; redraw(); });
    samples.push(() => holder.replaceChildren(sample({ kind })));
    kindBoxes.append(make("label", {}, box, holder, name));
  });
  const seedBox = make("input", { type: "checkbox", checked: true });
  seedBox.addEventListener("change", () => { seeds = seedBox.checked; redraw(); });
  kindBoxes.prepend(make("legend", { className: "hush" }, "curves"));
  kindBoxes.append(make("label", {}, seedBox, "single seeds, thin"));

  const items = data.settings.map((setting, number) => {
    const box = make("input", { type: "checkbox", checked: slots.includes(number) }), holder = make("span");
    box.dataset.setting = number;
    box.addEventListener("change", () => {
      if (box.checked) slots[slots.indexOf(null)] = number;
      else slots[slots.indexOf(number)] = null;
      choose();
    });
    samples.push(() => holder.replaceChildren(sample({ slot: slots.indexOf(number) })));
    const label = make("label", {}, box, holder, setting.label);
    list.append(label);
    return { box, label, setting, number };
  });

  function choose() {
    const full = !slots.includes(null);
    for (const item of items) {
      item.box.checked = slots.includes(item.number);
      item.box.disabled = full && !item.box.checked;
    }
    samples.forEach((each) => each());
    filter();
    redraw();
  }

  const selects = data.axes.map((axis) => {
    const values = [...new Set(data.settings.map((s) => s.key[axis]))];
    const select = make("select", {}, make("option", { value: "", textContent: "all" }));
    select.append(...values.map((value) => make("option", { value: "=" + value, textContent: value })));
    select.addEventListener("change", filter);
    filters.append(make("label", {}, AXIS_WORDS[axis] || axis, select));
    return [axis, select];
  });
  function filter() {
    let shownItems = 0;
    for (const item of items) {
      const fits = selects.every(([axis, select]) => !select.value || "=" + item.setting.key[axis] === select.value);
      item.label.hidden = !fits && !item.box.checked; // what is drawn stays in sight
      item.label.style.display = item.label.hidden ? "none" : "";
      shownItems += !item.label.hidden;
    }
    const full = slots.includes(null) ? "" : `; ${MOST} at most`;
    count.textContent = `${chosen().length} drawn, ${shownItems} of ${items.length} listed${full}`;
  }
  const none = make("button", { type: "button", textContent: "draw none" });
  none.addEventListener("click", () => { slots.fill(null); choose(); });
  filters.append(none);
  settingBoxes.append(make("legend", {}, "Settings to draw"), filters, list, make("p", { className: "soft" }, count));

  // ---- the same as a table
  const body = make("tbody"), heads = ["setting", "curve", "first", "last", "highest", "seeds"];
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...heads.map((text, i) =>
    make("th", { scope: "col", className: i < 2 ? "name" : "" }, text)))), body);
  const scroller = make("div", { className: "wide", tabIndex: 0 }, table);
  const values = make("details", {}, make("summary", {}, "These curves as a table (means over seeds, mIoU in %)"), scroller);
  function tabulate() {
    body.replaceChildren(...shown.map((each) => {
      const first = each.points[0], last = each.points[each.points.length - 1];
      const most = each.points.reduce((a, b) => (b.y > a.y ? b : a));
      const at = (p) => `${p.y.toFixed(1)} (epoch ${p.epoch})`;
      const row = [each.setting.label, data.kinds[each.kind], at(first), at(last), at(most), String(last.seeds)];
      return make("tr", {}, ...row.map((text, i) => make("td", { className: i < 2 ? "name" : "" }, text)));
    }));
  }

  place.append(make("div", { className: "drawing-side" }, kindBoxes, drawing, values), settingBoxes);
  place.hidden = false;
  document.querySelector("details.still").open = false; // the same without scripts
  choose();
  new ResizeObserver(() => { if (drawing.clientWidth !== (scale && scale.width)) redraw(); }).observe(drawing);
})();
