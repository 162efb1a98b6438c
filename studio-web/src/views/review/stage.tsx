/** The canvas of the review: zoom, pan and tools by pointer, wheel, touch and keys. */

import { effect, signal, untracked } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { union, type Point, type Rect, type Size } from "../../logic/geometry";
import { fit, hold, toImage, zoomAt, type View } from "../../logic/view";
import { classes } from "../../store/app";
import {
  beginStroke,
  brushSize,
  chooseTool,
  closePolygon,
  corners,
  endStroke,
  fillAt,
  guide,
  isAlone,
  isEverywhere,
  isHidden,
  isPaintingOnly,
  isStroke,
  loadGuide,
  opacity,
  paintValue,
  stroke,
  superpixelAt,
  superpixelCount,
  takeMap,
  takeSuperpixel,
  threshold,
  tool,
} from "../../store/painting";
import { sheet } from "../../store/review";
import type { Sheet } from "../../store/sheet";
import { SheetDrawing, type Look } from "./drawing";
import { drawHints } from "./hints";

export const view = signal<View>({ scale: 1, x: 0, y: 0 });
export const frame = signal<Size>({ width: 1, height: 1 });
/** Space is pressed: the pointer moves the image. */
export const isMoving = signal(false);
/** Where the pointer, or the cross hair of the keys, is; in the image's pixels. */
const pointer = signal<Point | null>(null);
const isCrossHair = signal(false);

export const zoomBy = (factor: number): void => {
  const one = sheet.value;
  const { width, height } = frame.value;
  if (one) view.value = zoomAt(view.value, { x: width / 2, y: height / 2 }, factor, one.size, frame.value);
};

export const fitView = (): void => {
  if (sheet.value) view.value = fit(sheet.value.size, frame.value);
};

/** Between the whole image and one pixel of the image for one of the screen. */
export function toggleZoom(): void {
  const one = sheet.value;
  if (!one) return;
  const whole = fit(one.size, frame.value);
  if (Math.abs(view.value.scale - whole.scale) / whole.scale < 0.01) zoomBy(1 / view.value.scale);
  else view.value = whole;
}

const panBy = (dx: number, dy: number): void => {
  const one = sheet.value;
  if (one) view.value = hold({ ...view.value, x: view.value.x + dx, y: view.value.y + dy }, one.size, frame.value);
};

/** Use the tool at a point, as a click does. */
function use(one: Sheet, at: Point): void {
  const which = tool.value;
  if (isStroke(which)) {
    beginStroke(one);
    stroke(one, at, at, which);
    endStroke(one);
  } else if (which === "polygon") {
    const first = corners.value[0];
    const isClosing = corners.value.length > 2 && Math.hypot(first.x - at.x, first.y - at.y) * view.value.scale < 10;
    if (isClosing) closePolygon();
    else corners.value = [...corners.value, at];
  } else if (which === "fill") fillAt(one, at);
  else if (which === "superpixel") takeSuperpixel(one, at);
  else if (which === "map") takeMap(one, at);
}

const TAP_PIXELS = 10;

/** Pointers on the canvas: one draws, two move and zoom. */
class Pointers {
  private readonly down = new Map<number, Point>();
  private drawing: { one: Sheet; last: Point } | null = null;
  private isPanning = false;
  /** A finger that is down with a tool that a tap uses: it may become a move or a pinch. */
  private tap: { one: Sheet; at: Point } | null = null;

  constructor(private readonly canvas: HTMLCanvasElement) {}

  private at(event: PointerEvent | MouseEvent): Point {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  press(event: PointerEvent): void {
    const one = sheet.value;
    if (!one) return;
    this.canvas.focus({ preventScroll: true });
    this.canvas.dataset.pointed = ""; // no frame of focus around the image while the pointer draws
    this.canvas.setPointerCapture(event.pointerId);
    const at = this.at(event);
    this.down.set(event.pointerId, at);
    isCrossHair.value = false;
    if (this.down.size === 2) {
      this.drawing?.one.cancel();
      this.drawing = null;
      this.tap = null;
      this.isPanning = true;
      return;
    }
    this.isPanning = event.button === 1 || isMoving.value || tool.value === "hand";
    if (this.isPanning || event.button !== 0) return;
    const point = toImage(view.value, at);
    pointer.value = point;
    if (isStroke(tool.value)) {
      beginStroke(one);
      stroke(one, point, point, tool.value);
      this.drawing = { one, last: point };
    } else if (event.pointerType === "touch") this.tap = { one, at };
    else if (tool.value !== "polygon" || event.detail < 2) use(one, point);
  }

  move(event: PointerEvent): void {
    const at = this.at(event);
    const before = this.down.get(event.pointerId);
    if (this.down.size === 2 && before) return this.pinch(event.pointerId, before, at);
    pointer.value = toImage(view.value, at);
    if (before) this.down.set(event.pointerId, at);
    if (this.tap && Math.hypot(at.x - this.tap.at.x, at.y - this.tap.at.y) > TAP_PIXELS) {
      this.tap = null;
      this.isPanning = true;
    }
    if (before && this.isPanning) panBy(at.x - before.x, at.y - before.y);
    if (!this.drawing) return;
    for (const one of event.getCoalescedEvents?.() ?? [event]) {
      const point = toImage(view.value, this.at(one));
      stroke(this.drawing.one, this.drawing.last, point, tool.value);
      this.drawing.last = point;
    }
  }

  private pinch(id: number, before: Point, at: Point): void {
    const other = [...this.down].find(([one]) => one !== id)?.[1];
    const one = sheet.value;
    this.down.set(id, at);
    if (!other || !one) return;
    const spread = (p: Point): number => Math.max(8, Math.hypot(p.x - other.x, p.y - other.y));
    const centre = { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 };
    panBy((at.x - before.x) / 2, (at.y - before.y) / 2);
    view.value = zoomAt(view.value, centre, spread(at) / spread(before), one.size, frame.value);
  }

  release(event: PointerEvent): void {
    this.down.delete(event.pointerId);
    if (this.drawing) endStroke(this.drawing.one);
    if (this.tap && event.type === "pointerup" && sheet.value === this.tap.one) use(this.tap.one, toImage(view.value, this.tap.at));
    this.drawing = null;
    this.tap = null;
    if (this.down.size === 0) this.isPanning = false;
  }

  wheel(event: WheelEvent): void {
    event.preventDefault();
    const one = sheet.value;
    if (!one) return;
    // Two fingers on a touchpad move; a wheel, or a pinch (which browsers report with Ctrl), zooms.
    const isTouchpad = event.deltaMode === 0 && !event.ctrlKey && (event.deltaX !== 0 || Math.abs(event.deltaY) < 40);
    if (isTouchpad) return panBy(-event.deltaX, -event.deltaY);
    const lines = event.deltaMode === 1 ? event.deltaY * 33 : event.deltaY;
    const factor = Math.exp(-Math.max(-200, Math.min(200, lines)) * (event.ctrlKey ? 0.01 : 0.0025));
    view.value = zoomAt(view.value, this.at(event), factor, one.size, frame.value);
  }
}

/** Keys on the focused canvas: arrows move a cross hair, Enter uses the tool there. */
function canvasKey(event: KeyboardEvent): void {
  const one = sheet.value;
  const steps: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (!one || event.ctrlKey || event.metaKey || event.altKey) return;
  const by = steps[event.key];
  if (by) {
    event.preventDefault();
    const length = Math.max(0.5, (event.shiftKey ? 40 : 8) / view.value.scale);
    const from = pointer.value ?? { x: one.size.width / 2, y: one.size.height / 2 };
    isCrossHair.value = true;
    pointer.value = {
      x: Math.min(one.size.width - 0.5, Math.max(0.5, from.x + by[0] * length)),
      y: Math.min(one.size.height - 0.5, Math.max(0.5, from.y + by[1] * length)),
    };
  } else if (event.key === "Enter" && isCrossHair.value && pointer.value && (tool.value !== "polygon" || !event.shiftKey)) {
    event.preventDefault();
    event.stopPropagation();
    use(one, pointer.value);
  }
}

function follow(box: HTMLDivElement, below: HTMLCanvasElement, above: HTMLCanvasElement): () => void {
  const ratio = (): number => window.devicePixelRatio || 1;
  const contexts = [below, above].map((one) => one.getContext("2d") as CanvasRenderingContext2D);
  let drawing: SheetDrawing | null = null;
  let shown: Sheet | null = null;
  let unlisten: (() => void) | null = null;
  let isDirty = [true, true];
  let changedPart: Rect | null = null;
  let drawnView: View | null = null;
  let refine: ReturnType<typeof setTimeout> | undefined;
  let asked = 0;
  const paint = (): void => {
    asked = 0;
    const size = { width: below.width, height: below.height };
    if (isDirty[0]) {
      const now = view.peek();
      const isMoving = drawnView !== null && drawnView !== now;
      drawnView = now;
      if (drawing) drawing.draw(contexts[0], size, now, ratio(), !isHidden.peek(), changedPart, isMoving);
      if (isMoving) {
        clearTimeout(refine);
        refine = setTimeout(() => ask(0), 120);
      }
      if (!drawing) {
        contexts[0].setTransform(1, 0, 0, 1, 0, 0);
        contexts[0].clearRect(0, 0, size.width, size.height);
      }
    }
    if (isDirty[1]) drawHints(contexts[1], size, ratio(), shown, view.peek(), pointer.peek(), isCrossHair.peek(), isMoving.peek());
    isDirty = [false, false];
    changedPart = null;
  };
  /** Draw soon; a part alone where nothing else is to be drawn. */
  const ask = (which: 0 | 1, part: Rect | null = null): void => {
    if (which === 0) changedPart = part && (!isDirty[0] || changedPart) ? union(changedPart, part) : null;
    isDirty[which] = true;
    asked ||= requestAnimationFrame(paint);
  };
  const look = (): Look => ({
    colours: classes.value.map((one) => one.colour),
    opacity: opacity.value / 100,
    only: isAlone.value ? paintValue.value : null,
    isPaintingOnly: isPaintingOnly.value,
  });
  const measure = (): void => {
    const size = { width: box.clientWidth, height: box.clientHeight };
    for (const canvas of [below, above]) {
      canvas.width = Math.max(1, Math.round(size.width * ratio()));
      canvas.height = Math.max(1, Math.round(size.height * ratio()));
    }
    const old = frame.peek();
    frame.value = size;
    const one = sheet.peek();
    const wasWhole = one !== null && Math.abs(view.peek().scale - fit(one.size, old).scale) < 1e-6;
    if (one && (wasWhole || old.width <= 1)) view.value = fit(one.size, size);
    ask(0);
    ask(1);
  };
  const observer = new ResizeObserver(measure);
  observer.observe(box);
  measure();
  const ends = [
    effect(() => {
      const one = sheet.value;
      if (one === shown) return;
      unlisten?.();
      shown = one;
      drawing = one && new SheetDrawing(one);
      drawing?.setLook(untracked(look));
      unlisten = one?.onChange((changed) => {
        drawing?.update(changed);
        ask(0, changed);
      }) ?? null;
      corners.value = [];
      if (one) view.value = fit(one.size, frame.peek());
      ask(0);
      ask(1);
    }),
    effect(() => {
      const now = look();
      drawing?.setLook(now);
      view.value;
      isHidden.value;
      ask(0);
    }),
    effect(() => {
      view.value; pointer.value; tool.value; brushSize.value; corners.value; guide.value; threshold.value;
      isMoving.value; isCrossHair.value; paintValue.value; isEverywhere.value;
      ask(1);
    }),
    effect(() => {
      const one = sheet.value;
      if (one) void loadGuide(one, tool.value, paintValue.value, superpixelCount.value);
    }),
  ];
  return () => {
    observer.disconnect();
    unlisten?.();
    cancelAnimationFrame(asked);
    clearTimeout(refine);
    for (const end of ends) end();
  };
}

export function Stage(): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const below = useRef<HTMLCanvasElement>(null);
  const above = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const canvas = above.current as HTMLCanvasElement;
    const pointers = new Pointers(canvas);
    const stop = follow(box.current as HTMLDivElement, below.current as HTMLCanvasElement, canvas);
    const end = new AbortController();
    const { signal } = end;
    canvas.addEventListener("pointerdown", (event) => pointers.press(event), { signal });
    canvas.addEventListener("pointermove", (event) => pointers.move(event), { signal });
    canvas.addEventListener("pointerup", (event) => pointers.release(event), { signal });
    canvas.addEventListener("pointercancel", (event) => pointers.release(event), { signal });
    canvas.addEventListener("pointerleave", () => !isCrossHair.value && (pointer.value = null), { signal });
    canvas.addEventListener("wheel", (event) => pointers.wheel(event), { signal, passive: false });
    canvas.addEventListener("dblclick", () => tool.value === "polygon" && closePolygon(), { signal });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
    canvas.addEventListener("keydown", canvasKey, { signal });
    canvas.addEventListener("focus", () => delete canvas.dataset.pointed, { signal });
    canvas.addEventListener("blur", () => isCrossHair.value && ((isCrossHair.value = false), (pointer.value = null)), { signal });
    return () => {
      stop();
      end.abort();
      chooseTool(tool.value);
    };
  }, []);
  const isPan = isMoving.value || tool.value === "hand";
  const one = sheet.value;
  const over = pointer.value && tool.value === "superpixel" && one ? superpixelAt(one, pointer.value) >= 0 : false;
  return (
    <div class="stage" ref={box}>
      <canvas ref={below} aria-hidden="true" />
      <canvas
        ref={above}
        id="canvas"
        class={isPan ? "pan" : isStroke(tool.value) ? "stroke" : over ? "take" : ""}
        tabIndex={0}
        role="img"
        aria-label={`Mask over ${one?.name ?? "no image"}. Arrow keys move a cross hair, Enter uses the tool there.`}
      />
    </div>
  );
}
