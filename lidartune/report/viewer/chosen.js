// What is chosen, and the lines of it.
const place = document.getElementById("chart");
const data = JSON.parse(document.getElementById("curves").textContent);
const MOST = 6, NEAR_PX = 48, NARROW = 520;
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

const slots = new Array(MOST).fill(null); // place in the order of colours -> setting
data.settings.forEach((setting, i) => { if (setting.chosen && slots.includes(null)) slots[slots.indexOf(null)] = i; });
const kinds = data.kinds.map(() => true);
let seeds = true, read = null; // read: {line, point} that is being read
const chosen = () => slots.filter((i) => i !== null);
const color = (slot, kind) => `var(${chosen().length > 1 ? "--c" + slot : KIND_COLOR[kind]})`;

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
