/** Layout of a grid of which only the rows in sight exist. */

export interface GridLayout {
  columns: number;
  /** Width of a tile. */
  tile: number;
  /** Height of a row with its gap. */
  row: number;
  rows: number;
  height: number;
}

export interface GridShape {
  count: number;
  width: number;
  /** Least width of a tile. */
  least: number;
  gap: number;
  /** Height of a tile beyond its picture. */
  caption: number;
  /** Height of the picture / width. */
  ratio: number;
}

export function gridLayout(shape: GridShape): GridLayout {
  const { count, width, least, gap, caption, ratio } = shape;
  const columns = Math.max(1, Math.floor((width + gap) / (least + gap)));
  const tile = Math.max(1, Math.floor((width - gap * (columns - 1)) / columns));
  const row = Math.round(tile * ratio) + caption + gap;
  const rows = Math.ceil(count / columns);
  return { columns, tile, row, rows, height: Math.max(0, rows * row - gap) };
}

/** First and last (exclusive) tile to draw, whole rows, with `spare` rows above and below. */
export function inSight(layout: GridLayout, count: number, top: number, height: number, spare = 2): [number, number] {
  const first = Math.max(0, Math.floor(top / layout.row) - spare);
  const last = Math.min(layout.rows, Math.ceil((top + height) / layout.row) + spare);
  return [Math.min(count, first * layout.columns), Math.min(count, Math.max(first, last) * layout.columns)];
}

/** Scroll position at which a tile is in sight, moved as little as possible. */
export function scrollTo(layout: GridLayout, index: number, top: number, height: number): number {
  const from = Math.floor(index / layout.columns) * layout.row;
  const to = from + layout.row;
  if (from < top) return from;
  return to > top + height ? Math.max(0, to - height) : top;
}
