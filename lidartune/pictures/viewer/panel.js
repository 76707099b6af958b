// The panel beside the cloud: what it is coloured by, which classes are shown, how large points are.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function css(color) {
  return `rgb(${color.join(",")})`;
}

function makeColorings(colorings, choose) {
  document.getElementById("colorings").replaceChildren(...colorings.map((coloring, number) => {
    const radio = element("input", { type: "radio", name: "coloring", value: coloring.key });
    radio.disabled = Boolean(coloring.absent);
    radio.addEventListener("change", () => choose(coloring));
    const label = element("label", {}, radio, element("kbd", {}, String(number + 1)), coloring.label);
    if (coloring.absent) {
      label.className = "off";
      label.title = coloring.absent;
    }
    return label;
  }));
}

function makeLegend(coloring, background, changed) {
  const legend = document.getElementById("legend");
  if (!coloring.entries) {
    const stops = coloring.table.map((color) => css(standingOut(color, background)));
    const bar = element("div", { class: "bar" });
    bar.style.background = `linear-gradient(to right,${stops.join(",")})`;
    const ticks = coloring.ticks.map(([part, text]) => {
      const tick = element("span", {}, text);
      tick.style.left = `${100 * part}%`;
      return tick;
    });
    legend.replaceChildren(bar, element("div", { class: "ticks" }, ...ticks), changedNote(coloring.table, background));
    return;
  }
  const rows = coloring.entries.map((entry) => {
    const box = element("input", { type: "checkbox", "data-code": entry.code });
    box.checked = Boolean(coloring.shown[entry.code]);
    box.addEventListener("change", () => {
      coloring.shown[entry.code] = box.checked ? 1 : 0;
      changed();
    });
    const swatch = element("span", { class: "swatch" });
    swatch.style.background = css(standingOut(coloring.table[entry.code], background));
    const name = element("span", { class: "name", title: entry.name }, entry.name);
    const details = entry.details.map((detail) => element("span", { class: "detail" }, detail));
    return element("label", {}, box, swatch, name, ...details);
  });
  const set = (value) => () => {
    coloring.shown.fill(value);
    makeLegend(coloring, background, changed);
    changed();
  };
  const [all, none] = [element("button", { type: "button" }, "all"), element("button", { type: "button" }, "none")];
  all.addEventListener("click", set(1));
  none.addEventListener("click", set(0));
  const occurring = coloring.entries.map((entry) => coloring.table[entry.code]);
  legend.replaceChildren(element("div", { class: "row" }, all, none), ...rows, changedNote(occurring, background));
}

// Why colours differ from those of the picture of the same scan, where they do.
function changedNote(colors, background) {
  const changed = colors.filter((color) => css(standingOut(color, background)) !== css(color)).length;
  const how = luminance(background) < 0.2 ? "lighter" : "darker";
  const which = colors.length > 40 ? "some" : `${changed} of ${colors.length}`; // the steps of a scale mean nothing to count
  const text = `${which} colours are ${how} here than in the PNG, to stand out from the background`;
  return element("p", { class: "soft", id: "changed" }, changed ? text : "");
}

// What is hidden by the legends of other colourings, so that nobody wonders where points went.
function hiddenElsewhere(colorings, current) {
  return colorings
    .filter((c) => c !== current && c.entries && c.entries.some((e) => !c.shown[e.code]))
    .map((c) => `${c.label}: ${c.entries.filter((e) => !c.shown[e.code]).length} of ${c.entries.length} hidden`);
}
