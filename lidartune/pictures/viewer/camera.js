// Where the cloud is looked at from: around a target, in metres, z up.
const HALF_VIEW = Math.tan((25 * Math.PI) / 180);

class Camera {
  constructor(distance) {
    this.first = distance;
    this.reset();
  }
  reset() {
    this.target = [0, 0, 0];
    this.yaw = Math.PI;
    this.pitch = 0.6;
    this.distance = this.first;
  }
  turn(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.min(Math.PI / 2, Math.max(-Math.PI / 2, this.pitch + pitch));
  }
  zoom(factor) {
    this.distance = Math.min(20 * this.first, Math.max(0.005 * this.first, this.distance * factor));
  }
  // Moves the cloud by parts of the window's height, to the right and up.
  pan(right, up) {
    const { r, u } = this.axes(), far = 2 * HALF_VIEW * this.distance;
    for (let k = 0; k < 3; k++) this.target[k] -= far * (right * r[k] + up * u[k]);
  }
  axes() {
    const cy = Math.cos(this.yaw), sy = Math.sin(this.yaw), cp = Math.cos(this.pitch), sp = Math.sin(this.pitch);
    return { r: [-sy, cy, 0], u: [-sp * cy, -sp * sy, cp], f: [-cp * cy, -cp * sy, -sp] };
  }
  // Column-major 4 x 4: metres -> clip space of a window with this width / height.
  matrix(aspect) {
    const { r, u, f } = this.axes();
    const near = 0.02 * this.distance, far = 50 * this.first + 10 * this.distance;
    const eye = this.target.map((t, k) => t - this.distance * f[k]);
    const dot = (a) => a[0] * eye[0] + a[1] * eye[1] + a[2] * eye[2];
    const sx = 1 / (HALF_VIEW * Math.max(aspect, 1e-6)), sy = 1 / HALF_VIEW;
    const a = (far + near) / (far - near), b = (-2 * far * near) / (far - near);
    const m = new Float32Array(16);
    for (let k = 0; k < 3; k++) {
      m[4 * k] = sx * r[k];
      m[4 * k + 1] = sy * u[k];
      m[4 * k + 2] = a * f[k];
      m[4 * k + 3] = f[k];
    }
    m[12] = -sx * dot(r);
    m[13] = -sy * dot(u);
    m[14] = -a * dot(f) + b;
    m[15] = -dot(f);
    return m;
  }
}
