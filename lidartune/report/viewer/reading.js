// Reading values, with the mouse, a finger or the arrow keys.
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
