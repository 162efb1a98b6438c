/** One image of the grid. */

import type { JSX } from "preact";
import { memo } from "./memo";
import { thumbUrl } from "../../net/api";
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

const MOST_CHIPS = 3;

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

export const Tile = memo(function Tile(props: TileProps): JSX.Element {
  const { chips } = props;
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
          <img src={thumbUrl(props.name, props.side)} alt="" decoding="async" draggable={false} />
        )}
        {props.isKept && (
          <span class="kept" title="Mask kept">
            <Icon name="check" size={14} />
          </span>
        )}
      </div>
      <div class="chips">
        {chips.slice(0, chips.length > MOST_CHIPS ? MOST_CHIPS - 1 : MOST_CHIPS).map(({ cls, kind }) => (
          <span class={`chip ${kind}`} key={cls.name}>
            <span class="swatch" style={{ background: cls.colour }} />
            <span class="cut">{cls.name}</span>
          </span>
        ))}
        {chips.length > MOST_CHIPS && <span class="chip more">+{chips.length - MOST_CHIPS + 1}</span>}
        {chips.length === 0 && <span class="name cut">{short(props.name)}</span>}
      </div>
    </div>
  );
}, ["index", "left", "top", "width", "height", "isSelected", "isCursor", "isKept", "isDamaged", "chipKey", "position", "count"]);
