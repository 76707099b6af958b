// Choosing curves and settings, and the chosen curves as a table.
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
document.querySelector("details.still").open = false; // it is there for pages without scripts, and for paper
choose();
new ResizeObserver(() => { if (drawing.clientWidth !== (scale && scale.width)) redraw(); }).observe(drawing);
