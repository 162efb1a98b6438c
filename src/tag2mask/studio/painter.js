// The brush: paints class indices on a canvas, pixel by pixel, without smoothing.
window.tag2mask = (() => {
  const state = { width: 0, height: 0, mask: null, colours: [], current: 1, image: null, past: [], painting: false, last: null };
  const canvas = () => document.getElementById("paint-canvas");

  function unpack(runs, length) {
    const mask = new Uint8Array(length);
    let at = 0;
    for (const [count, value] of runs) { mask.fill(value, at, at + count); at += count; }
    return mask;
  }

  function pack(mask) {
    const runs = [];
    for (let at = 0; at < mask.length;) {
      let end = at + 1;
      while (end < mask.length && mask[end] === mask[at]) end += 1;
      runs.push([end - at, mask[at]]);
      at = end;
    }
    return runs;
  }

  function draw() {
    const board = canvas();
    if (!board || !state.image) return;
    if (board.width !== state.width || board.height !== state.height) { board.width = state.width; board.height = state.height; }
    board.style.setProperty("--ratio", state.width / state.height);
    board.hidden = false;
    const context = board.getContext("2d");
    context.drawImage(state.image, 0, 0, state.width, state.height);
    const pixels = context.getImageData(0, 0, state.width, state.height);
    for (let at = 0; at < state.mask.length; at += 1) {
      const colour = state.mask[at] ? state.colours[state.mask[at] - 1] : null;
      if (colour) for (let c = 0; c < 3; c += 1) pixels.data[4 * at + c] = (pixels.data[4 * at + c] + colour[c]) >> 1;
    }
    context.putImageData(pixels, 0, 0);
  }

  function load(text) {
    if (!text) { state.image = null; state.mask = null; if (canvas()) canvas().hidden = true; return; }
    const data = JSON.parse(text);
    Object.assign(state, { width: data.width, height: data.height, colours: data.colours, past: [] });
    state.mask = unpack(data.runs, data.width * data.height);
    const image = new Image();
    image.onload = () => { state.image = image; draw(); };
    image.src = data.image;
  }

  function value() {
    return state.mask ? JSON.stringify({ width: state.width, height: state.height, runs: pack(state.mask) }) : "";
  }

  function choose(index) {
    const buttons = [...document.querySelectorAll("#painter [data-class]")];
    if (!buttons.some((one) => Number(one.dataset.class) === index)) return;
    state.current = index;
    for (const one of buttons) one.setAttribute("aria-pressed", String(Number(one.dataset.class) === index));
  }

  function undo() {
    if (state.past.length) { state.mask = state.past.pop(); draw(); }
  }

  function place(event) {
    const box = canvas().getBoundingClientRect();
    return [(event.clientX - box.left) * state.width / box.width, (event.clientY - box.top) * state.height / box.height];
  }

  function dab(x, y) {
    const radius = Number(document.getElementById("paint-size").value) / 2;
    const [left, right] = [Math.max(0, Math.floor(x - radius)), Math.min(state.width - 1, Math.ceil(x + radius))];
    const [top, bottom] = [Math.max(0, Math.floor(y - radius)), Math.min(state.height - 1, Math.ceil(y + radius))];
    for (let row = top; row <= bottom; row += 1) {
      for (let column = left; column <= right; column += 1) {
        if ((column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2 <= radius ** 2) state.mask[row * state.width + column] = state.current;
      }
    }
  }

  function stroke(event) {
    const [x, y] = place(event);
    const [fromX, fromY] = state.last || [x, y];
    const steps = Math.max(1, Math.ceil(Math.hypot(x - fromX, y - fromY)));
    for (let step = 0; step <= steps; step += 1) dab(fromX + (x - fromX) * step / steps, fromY + (y - fromY) * step / steps);
    state.last = [x, y];
    draw();
  }

  document.addEventListener("pointerdown", (event) => {
    if (event.target !== canvas() || !state.mask) return;
    event.preventDefault();
    state.past.push(state.mask.slice());
    if (state.past.length > 20) state.past.shift();
    state.painting = true;
    state.last = null;
    stroke(event);
  });
  document.addEventListener("pointermove", (event) => { if (state.painting) stroke(event); });
  document.addEventListener("pointerup", () => { state.painting = false; });
  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("#painter button");
    if (!button) return;
    if (button.dataset.class !== undefined) choose(Number(button.dataset.class));
    else undo();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest && event.target.closest("input:not([type=checkbox]):not([type=range]), textarea, select");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[0-9]$/.test(event.key)) choose(Number(event.key));
    if (event.key === "u") undo();
    const id = { n: "next", p: "previous", k: "keep" }[event.key];
    const button = id && document.getElementById(id);
    if (button) { event.preventDefault(); (button.querySelector("button") || button).click(); }
  });
  return { load, value, draw, choose, undo };
})();
