/** The grid of thumbnails: only the rows in sight exist. */

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { gridLayout, inSight, scrollTo } from "../../logic/grid";
import * as selecting from "../../logic/selection";
import { KEPT, PRESENT } from "../../logic/tags";
import { classes, go, images, tagTick } from "../../store/app";
import { list, selection, suggested, suggestions, tileWidth } from "../../store/tagging";
import { Tile, type Chip } from "./tile";

const GAP = 10;
const CAPTION = 34;
const RATIO = 0.75;

/** Columns of the grid, for the arrow keys. */
export const columns = signal(1);
let keptTop = 0;

function chipsOf(image: number): Chip[] {
  const all = images.value;
  if (!all) return [];
  const known = all.tags.having(image, PRESENT).map((cls): Chip => ({ cls: classes.value[cls], kind: "present" }));
  const probable = suggested(image).map((cls): Chip => ({ cls: classes.value[cls], kind: "suggested" }));
  return [...known, ...probable].filter((one) => one.cls !== undefined);
}

export function Grid(): JSX.Element {
  const ref = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [top, setTop] = useState(keptTop);
  useLayoutEffect(() => {
    const box = ref.current as HTMLDivElement;
    const measure = (): void => setSize({ width: box.clientWidth - 24, height: box.clientHeight });
    measure();
    box.scrollTop = keptTop;
    const observer = new ResizeObserver(measure);
    observer.observe(box);
    return () => observer.disconnect();
  }, []);
  tagTick.value;
  suggestions.value;
  const found = list.value;
  const all = images.value;
  const layout = gridLayout({ count: found.length, width: size.width, least: tileWidth.value, gap: GAP, caption: CAPTION, ratio: RATIO });
  useEffect(() => {
    columns.value = layout.columns;
  }, [layout.columns]);
  const chosen = selection.value;
  useEffect(() => {
    const box = ref.current;
    const at = found.indexOf(chosen.cursor);
    if (!box || at < 0 || size.height === 0) return;
    const to = scrollTo(layout, at, box.scrollTop, size.height - 24);
    if (to !== box.scrollTop) box.scrollTop = to;
  }, [chosen.cursor, size.height > 0]);

  const [first, last] = size.width > 0 ? inSight(layout, found.length, top, size.height) : [0, 0];
  const tiles: JSX.Element[] = [];
  const picture = layout.row - GAP - CAPTION;
  for (let k = first; k < last && all; k++) {
    const index = found[k];
    const chips = chipsOf(index);
    tiles.push(
      <Tile
        key={index}
        index={index}
        name={all.names[index]}
        position={k}
        count={found.length}
        left={(k % layout.columns) * (layout.tile + GAP)}
        top={Math.floor(k / layout.columns) * layout.row}
        width={layout.tile}
        pictureHeight={picture}
        height={layout.row - GAP}
        side={layout.tile * (window.devicePixelRatio || 1) > 240 ? 384 : 192}
        isSelected={chosen.items.has(index)}
        isCursor={chosen.cursor === index}
        isKept={all.mask[index] === KEPT}
        isDamaged={all.corrupt.has(all.names[index])}
        chips={chips}
        chipKey={chips.map((one) => `${one.cls.name}/${one.cls.colour}/${one.kind}`).join("|")}
      />,
    );
  }
  return (
    <div
      ref={ref}
      class="grid-box"
      tabIndex={0}
      role="listbox"
      aria-multiselectable="true"
      aria-label="Images"
      aria-activedescendant={found.includes(chosen.cursor) ? `tile-${chosen.cursor}` : undefined}
      onScroll={(event) => {
        keptTop = event.currentTarget.scrollTop;
        // Rows in sight change less often than the position.
        const [a, b] = inSight(layout, found.length, keptTop, size.height);
        if (a !== first || b !== last) setTop(keptTop);
      }}
      onClick={(event) => click(event as unknown as MouseEvent, found)}
      onDblClick={(event) => {
        const index = indexOf(event.target);
        if (index !== null && all) go("review", all.names[index]);
      }}
    >
      <div class="grid-inner" style={{ height: `${layout.height}px` }} role="presentation">
        {tiles}
      </div>
      {found.length === 0 && (
        <div class="empty" role="option" aria-selected="false">
          <p>{all && all.names.length > 0 ? "No image fits the filter." : "There is no image in this folder yet."}</p>
        </div>
      )}
    </div>
  );
}

function indexOf(target: EventTarget | null): number | null {
  const tile = (target as HTMLElement | null)?.closest<HTMLElement>(".tile");
  return tile ? Number(tile.dataset.index) : null;
}

function click(event: MouseEvent, found: readonly number[]): void {
  const index = indexOf(event.target);
  if (index === null) return;
  if (event.shiftKey) selection.value = selecting.extend(selection.value, index, found);
  else if (event.ctrlKey || event.metaKey) selection.value = selecting.flip(selection.value, index);
  else selection.value = selecting.only(index);
  window.getSelection()?.removeAllRanges();
}
