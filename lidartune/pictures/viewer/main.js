// Puts the cloud, the camera, the drawing and the panel together, and listens to mouse, touch and keyboard.
function start() {
  const cloud = readCloud(), { scan } = cloud, camera = new Camera(scan.distance), root = document.documentElement;
  const stage = document.getElementById("stage"), slider = document.getElementById("size"), status = document.body.dataset;
  let coloring = scan.colorings.find((c) => !c.absent), canvas, drawing, asked = false;
  const background = () => (root.classList.contains("dark") ? [13, 16, 19] : [244, 245, 247]);

  function open(plain) {
    if (canvas) canvas.remove();
    canvas = element("canvas", { tabindex: "0", role: "img", "aria-label": `${scan.title}: point cloud; arrow keys turn it` });
    stage.append(canvas);
    drawing = plain ? plainDrawing(canvas, cloud) : webglDrawing(canvas, cloud);
    if (!drawing) return plain ? tell("This browser can draw neither with WebGL nor on a canvas.") : open(true);
    if (plain) tell("WebGL is not available here, so the cloud is drawn without it: turning it is slower.");
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      open(true);
      repaint();
    });
    listen(canvas);
    fit();
  }
  function tell(text) {
    const place = document.getElementById("say");
    place.textContent = text;
    place.hidden = false;
  }
  function fit() {
    const scale = drawing && drawing.name === "2d" ? 1 : window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(stage.clientWidth * scale));
    canvas.height = Math.max(1, Math.round(stage.clientHeight * scale));
    ask();
  }
  function ask() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      if (!drawing) return;
      drawing.draw(camera, Number(slider.value) * (canvas.width / Math.max(1, stage.clientWidth)), background());
      status.renderer = drawing.name;
      status.frames = String(Number(status.frames || 0) + 1);
      status.view = [camera.yaw, camera.pitch, camera.distance, ...camera.target].map((v) => v.toFixed(4)).join(" ");
    });
  }
  function repaint() {
    const shown = paint(cloud, coloring, background());
    drawing.recolor();
    status.drawn = String(shown);
    status.coloring = coloring.key;
    const number = (n) => n.toLocaleString("en");
    document.getElementById("shown").textContent = `${number(shown)} of ${number(cloud.count)} points shown`;
    document.getElementById("elsewhere").textContent = hiddenElsewhere(scan.colorings, coloring).join("; ");
    ask();
  }
  function choose(chosen) {
    coloring = chosen;
    document.querySelector(`input[value="${coloring.key}"]`).checked = true;
    makeLegend(coloring, background(), repaint);
    repaint();
  }
  function theme(dark) {
    root.classList.toggle("dark", dark);
    choose(coloring);
  }
  function reset() {
    camera.reset();
    ask();
  }

  function listen(target) {
    const held = new Map();
    target.addEventListener("contextmenu", (event) => event.preventDefault());
    target.addEventListener("pointerdown", (event) => {
      held.set(event.pointerId, event);
      target.setPointerCapture(event.pointerId);
      target.focus({ preventScroll: true });
    });
    for (const kind of ["pointerup", "pointercancel"]) target.addEventListener(kind, (e) => held.delete(e.pointerId));
    target.addEventListener("pointermove", (event) => {
      const before = held.get(event.pointerId);
      if (!before) return;
      const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY, high = stage.clientHeight;
      if (held.size === 2) {
        const other = [...held.values()].find((p) => p.pointerId !== event.pointerId);
        const apart = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
        camera.zoom(Math.max(1, apart(before)) / Math.max(1, apart(event)));
        camera.pan(dx / 2 / high, -dy / 2 / high);
      } else if (held.size === 1) {
        if (event.shiftKey || event.buttons & 6) camera.pan(dx / high, -dy / high);
        else camera.turn(-0.006 * dx, 0.006 * dy);
      }
      held.set(event.pointerId, event);
      ask();
    });
    target.addEventListener("wheel", (event) => {
      event.preventDefault();
      camera.zoom(Math.exp(0.0015 * event.deltaY * (event.deltaMode ? 20 : 1)));
      ask();
    }, { passive: false });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const control = event.target.closest("input,button"), arrow = /^Arrow(Left|Right|Up|Down)$/.exec(event.key);
    if (arrow && control && control.type !== "checkbox") return; // a slider and radio buttons use arrows themselves
    const [dx, dy] = { Left: [-1, 0], Right: [1, 0], Up: [0, 1], Down: [0, -1] }[arrow && arrow[1]] || [0, 0];
    const numbered = scan.colorings[Number(event.key) - 1];
    if (arrow && event.shiftKey) camera.pan(-0.05 * dx, -0.05 * dy);
    else if (arrow) camera.turn(0.08 * dx, 0.08 * dy);
    else if (event.key === "+" || event.key === "=") camera.zoom(0.85);
    else if (event.key === "-" || event.key === "_") camera.zoom(1 / 0.85);
    else if (event.key === "r" || event.key === "R") camera.reset();
    else if (event.key === "d" || event.key === "D") theme(!root.classList.contains("dark"));
    else if (numbered && !numbered.absent) choose(numbered);
    else return;
    event.preventDefault();
    ask();
  });
  // After a click the keys go to the cloud; someone who tabs through the panel stays there.
  document.getElementById("panel").addEventListener("click", (event) => {
    if (event.detail > 0 && event.target.matches("input[type=radio],button")) canvas.focus({ preventScroll: true });
  });
  slider.addEventListener("input", ask);
  document.getElementById("reset").addEventListener("click", reset);
  document.getElementById("theme").addEventListener("click", () => theme(!root.classList.contains("dark")));
  document.getElementById("everything").addEventListener("click", () => {
    for (const each of scan.colorings) each.shown.fill(1);
    choose(coloring);
  });
  makeColorings(scan.colorings, choose);
  open(location.hash === "#2d"); // page.html#2d leaves WebGL out
  theme(window.matchMedia("(prefers-color-scheme: dark)").matches);
  new ResizeObserver(fit).observe(stage);
}
window.addEventListener("error", (event) => (document.body.dataset.failed = event.message));
start();
