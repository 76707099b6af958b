// The cloud as the page holds it: quantised places, and for each colouring a plane of codes, one byte a point.
function readCloud() {
  const scan = JSON.parse(document.getElementById("scan").textContent);
  const text = atob(document.getElementById("bytes").textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const count = scan.points;
  const places = new Int16Array(3 * count);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < places.length; i++) places[i] = view.getInt16(2 * i, true);
  let offset = 6 * count;
  for (const coloring of scan.colorings) {
    coloring.shown = new Uint8Array(256).fill(1);
    if (coloring.absent) continue;
    coloring.codes = bytes.subarray(offset, offset + count);
    offset += count;
  }
  return { scan, count, places, step: scan.step, colors: new Uint8Array(4 * count) };
}

function luminance(color) {
  const [r, g, b] = color.map((v) => (v <= 10 ? v / 3295 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

// A colour that can be seen on this background: moved towards white or black until it stands out.
function standingOut(color, background) {
  const back = luminance(background), [end, enough] = back < 0.2 ? [255, 2.2] : [0, 1.7];
  let mixed = color;
  for (let part = 0; part <= 1; part += 0.05) {
    mixed = color.map((v) => Math.round(v + (end - v) * part));
    const light = luminance(mixed);
    if ((Math.max(light, back) + 0.05) / (Math.min(light, back) + 0.05) >= enough) break;
  }
  return mixed;
}

// Fills the cloud's colours; hidden points have alpha 0. Returns how many are shown.
function paint(cloud, coloring, background) {
  const table = coloring.table.map((color) => standingOut(color, background));
  const filters = cloud.scan.colorings.filter((c) => c.codes && c.shown.includes(0));
  const { colors, count } = cloud;
  let shown = 0;
  for (let i = 0; i < count; i++) {
    let visible = 1;
    for (const filter of filters) visible &= filter.shown[filter.codes[i]];
    const color = table[coloring.codes[i]];
    colors[4 * i] = color[0];
    colors[4 * i + 1] = color[1];
    colors[4 * i + 2] = color[2];
    colors[4 * i + 3] = 255 * visible;
    shown += visible;
  }
  return shown;
}
