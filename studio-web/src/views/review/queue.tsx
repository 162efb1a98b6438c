/** The strip of images below the canvas: order of uncertainty, done marks, and the count. */

import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { number, percent } from "../../logic/time";
import { thumbUrl } from "../../net/api";
import { go, images, keptCount, reviewed } from "../../store/app";
import { isKept, keep, position, queue, sheet, step } from "../../store/review";
import { Button, Key, Meter } from "../../ui/bits";
import { Icon } from "../../ui/icons";

const WIDTH = 84;

function Strip(): JSX.Element {
  const ref = useRef<HTMLDivElement>(null);
  const [left, setLeft] = useState(0);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const box = ref.current as HTMLDivElement;
    const observer = new ResizeObserver(() => setWidth(box.clientWidth));
    observer.observe(box);
    return () => observer.disconnect();
  }, []);
  const at = position.value;
  useEffect(() => {
    ref.current?.scrollTo({ left: Math.max(0, (at + 0.5) * WIDTH - (ref.current.clientWidth || 0) / 2) });
  }, [at, width > 0]);
  images.value;
  const names = queue.value;
  const first = Math.max(0, Math.floor(left / WIDTH) - 2);
  const last = Math.min(names.length, Math.ceil((left + width) / WIDTH) + 2);
  return (
    <div class="strip" ref={ref} onScroll={(event) => setLeft(event.currentTarget.scrollLeft)}>
      <ul style={{ width: `${names.length * WIDTH}px` }}>
        {names.slice(first, last).map((name, k) => (
          <li key={name} style={{ transform: `translateX(${(first + k) * WIDTH}px)` }}>
            <button
              type="button"
              tabIndex={name === reviewed.value ? 0 : -1}
              aria-current={name === reviewed.value ? "true" : undefined}
              aria-label={`${name}${isKept(name) ? ", kept" : ""}`}
              title={name}
              onClick={() => go("review", name)}
            >
              <img src={thumbUrl(name, 192)} alt="" loading="lazy" decoding="async" draggable={false} />
              {isKept(name) && (
                <span class="kept">
                  <Icon name="check" size={12} />
                </span>
              )}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

export function QueueBar(): JSX.Element {
  const total = queue.value.length;
  const kept = keptCount.value;
  return (
    <footer class="queue">
      <div class="queue-count">
        <span class="number">
          <b>{number(kept)}</b> of {number(total)} kept
        </span>
        <Meter value={percent(kept, total)} label="Masks kept" />
      </div>
      <Button icon="left" kind="quiet" label="Previous image" shortcut="Shift N" disabled={position.value <= 0} onClick={() => step(-1)} />
      <Strip />
      <Button icon="right" kind="quiet" label="Next image" shortcut="N" disabled={position.value < 0 || position.value >= total - 1} onClick={() => step(1)} />
      <Button kind="primary" icon="check" aria-keyshortcuts="k" disabled={!sheet.value} onClick={() => void keep()}>
        Keep <Key>K</Key>
      </Button>
    </footer>
  );
}
