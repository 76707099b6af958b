// Drawing the lines in one frame.
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
  const width = Math.max(260, drawing.clientWidth || 600), height = width < NARROW ? 280 : 380;
  const left = 40, right = 12, top = 12, bottom = 40;
  drawing.classList.toggle("narrow", width < NARROW);
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
    const opacity = chosen().length > 1 ? 0.2 : 0.45;
    for (const seed of each.line.y) {
      const values = each.points.map((p) => [p.x, seed[p.at]]);
      draw("path", { d: path(values), "stroke-width": 0.8, opacity, "stroke-dasharray": DASH[each.kind], style }, group);
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
