// Two ways to draw the same cloud: by WebGL, or point by point where there is none.
const VERTEX = `
attribute vec3 place; attribute vec4 color; uniform mat4 view; uniform float step, size, distance;
varying vec3 shade;
void main() {
  gl_Position = color.a == 0.0 ? vec4(2.0, 2.0, 2.0, 1.0) : view * vec4(place * step, 1.0);
  gl_PointSize = clamp(size * distance / max(gl_Position.w, 1e-3), size * 0.75, size * 3.0);
  shade = color.rgb;
}`;
const FRAGMENT = `
precision mediump float; varying vec3 shade;
void main() { gl_FragColor = vec4(shade, 1.0); }`;

function webglDrawing(canvas, cloud) {
  const gl = canvas.getContext("webgl", { antialias: false, alpha: false });
  if (!gl) return null;
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
  gl.useProgram(program);
  const uniform = (name) => gl.getUniformLocation(program, name);
  const attribute = (name, size, type, normalized, values) => {
    const buffer = gl.createBuffer(), at = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    if (values) gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, size, type, normalized, 0, 0);
    return buffer;
  };
  attribute("place", 3, gl.SHORT, false, cloud.places);
  const colors = attribute("color", 4, gl.UNSIGNED_BYTE, true, null);
  const places = { view: uniform("view"), step: uniform("step"), size: uniform("size"), distance: uniform("distance") };
  gl.enable(gl.DEPTH_TEST);
  return {
    name: "webgl",
    recolor() {
      gl.bindBuffer(gl.ARRAY_BUFFER, colors);
      gl.bufferData(gl.ARRAY_BUFFER, cloud.colors, gl.DYNAMIC_DRAW);
    },
    draw(camera, size, background) {
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(background[0] / 255, background[1] / 255, background[2] / 255, 1);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.uniformMatrix4fv(places.view, false, camera.matrix(canvas.width / canvas.height));
      gl.uniform1f(places.step, cloud.step);
      gl.uniform1f(places.size, size);
      gl.uniform1f(places.distance, camera.distance);
      gl.drawArrays(gl.POINTS, 0, cloud.count);
    },
  };
}

function plainDrawing(canvas, cloud) {
  const context = canvas.getContext("2d", { alpha: false });
  if (!context) return null;
  let image = null, depth = null;
  return {
    name: "2d",
    recolor() {},
    draw(camera, size, background) {
      const { width, height } = canvas, { places, colors, count, step } = cloud;
      if (!image || image.width !== width || image.height !== height) {
        image = context.createImageData(width, height);
        depth = new Float32Array(width * height);
      }
      const pixels = new Uint32Array(image.data.buffer);
      const pack = (r, g, b) => (255 << 24) | (b << 16) | (g << 8) | r;
      pixels.fill(pack(...background));
      depth.fill(Infinity);
      const m = camera.matrix(width / height);
      for (let i = 0; i < count; i++) {
        if (!colors[4 * i + 3]) continue;
        const x = places[3 * i] * step, y = places[3 * i + 1] * step, z = places[3 * i + 2] * step;
        const w = m[3] * x + m[7] * y + m[11] * z + m[15];
        if (w < 0.02 * camera.distance) continue;
        const across = Math.min(Math.max((size * camera.distance) / w, size * 0.75), size * 3);
        const left = Math.round(((m[0] * x + m[4] * y + m[8] * z + m[12]) / w + 1) * 0.5 * width - across / 2);
        const top = Math.round((1 - (m[1] * x + m[5] * y + m[9] * z + m[13]) / w) * 0.5 * height - across / 2);
        const side = Math.max(1, Math.round(across)), color = pack(colors[4 * i], colors[4 * i + 1], colors[4 * i + 2]);
        for (let v = Math.max(top, 0); v < Math.min(top + side, height); v++) {
          for (let u = Math.max(left, 0); u < Math.min(left + side, width); u++) {
            const at = v * width + u;
            if (w < depth[at]) {
              depth[at] = w;
              pixels[at] = color;
            }
          }
        }
      }
      context.putImageData(image, 0, 0);
    },
  };
}
