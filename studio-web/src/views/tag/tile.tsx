/** One image of the grid. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { memo } from "./memo";
import { isAway, thumbUrl } from "../../net/api";
import type { ClassFacts } from "../../net/types";
import { Icon } from "../../ui/icons";

export interface Chip {
  cls: ClassFacts;
  kind: "present" | "suggested" | "absent";
}

export interface TileProps {
  index: number;
  name: string;
  position: number;
  count: number;
  left: number;
  top: number;
  width: number;
  pictureHeight: number;
  height: number;
  side: number;
  isSelected: boolean;
  isCursor: boolean;
  isKept: boolean;
  isDamaged: boolean;
  chips: Chip[];
  /** Changes with the chips. */
  chipKey: string;
}

/** How many chips fit into a tile, by the length of their names. */
function fitting(chips: readonly Chip[], width: number): number {
  const more = 34;
  let used = 14;
  for (const [i, { cls }] of chips.entries()) {
    used += 30 + 6.6 * cls.name.length;
    if (used > width - (i < chips.length - 1 ? more : 0)) return Math.max(1, i);
  }
  return chips.length;
}

const short = (name: string): string => name.split("/").at(-1) as string;

function spoken(props: TileProps): string {
  const parts = [props.name];
  for (const kind of ["present", "suggested"] as const) {
    const names = props.chips.filter((one) => one.kind === kind).map((one) => one.cls.name);
    if (names.length > 0) parts.push(`${kind}: ${names.join(", ")}`);
  }
  if (parts.length === 1) parts.push("no tags");
  if (props.isKept) parts.push("mask kept");
  if (props.isDamaged) parts.push("cannot be read");
  return parts.join("; ");
}

const PAUSE_MS = 60;
const RETRY_MS = 3000;
const shown = new Set<string>();

/** A picture that is asked for only when its tile stays: quick scrolling leaves out what flies past. */
function Picture({ url }: { url: string }): JSX.Element {
  const [isWanted, setWanted] = useState(shown.has(url));
  const [failures, setFailures] = useState(0);
  useEffect(() => {
    if (shown.has(url)) return setWanted(true);
    const timer = setTimeout(() => setWanted(true), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [url]);
  useEffect(() => {
    if (failures === 0 || isAway.value) return; // the server was away: asked for again when it is back
    const timer = setTimeout(() => setWanted(true), RETRY_MS);
    return () => clearTimeout(timer);
  }, [failures, isAway.value]);
  const fail = (): void => {
    setWanted(false);
    setFailures(failures + 1);
  };
  return <img src={isWanted ? url : undefined} alt="" decoding="async" draggable={false} onLoad={() => shown.add(url)} onError={fail} />;
}

export const Tile = memo(function Tile(props: TileProps): JSX.Element {
  const { chips } = props;
  const most = fitting(chips, props.width);
  return (
    <div
      id={`tile-${props.index}`}
      class={`tile ${props.isSelected ? "selected" : ""} ${props.isCursor ? "cursor" : ""}`}
      role="option"
      aria-selected={props.isSelected}
      aria-label={spoken(props)}
      aria-posinset={props.position + 1}
      aria-setsize={props.count}
      data-index={props.index}
      title={props.name}
      style={{ transform: `translate(${props.left}px, ${props.top}px)`, width: `${props.width}px`, height: `${props.height}px` }}
    >
      <div class="picture" style={{ height: `${props.pictureHeight}px` }}>
        {props.isDamaged ? (
          <span class="damaged">
            <Icon name="warn" />
            Cannot be read
          </span>
        ) : (
          <Picture key={props.name} url={thumbUrl(props.name, props.side)} />
        )}
        {props.isKept && (
          <span class="kept" title="Mask kept">
            <Icon name="check" size={14} />
          </span>
        )}
      </div>
      <div class="chips">
        {chips.slice(0, most).map(({ cls, kind }) => (
          <span class={`chip ${kind}`} key={cls.name}>
            <span class="swatch" style={{ background: cls.colour }} />
            <span class="cut">{cls.name}</span>
          </span>
        ))}
        {chips.length > most && <span class="chip more number">+{chips.length - most}</span>}
        {chips.length === 0 && <span class="name cut">{short(props.name)}</span>}
      </div>
    </div>
  );
}, ["index", "left", "top", "width", "height", "isSelected", "isCursor", "isKept", "isDamaged", "chipKey", "position", "count"]);
