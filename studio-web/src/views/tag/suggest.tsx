/** Suggested tags: asking for them, their progress, and confirming them one image after the other. */

import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { ABSENT, PRESENT, UNKNOWN } from "../../logic/tags";
import { counted, number, percent } from "../../logic/time";
import { query, thumbUrl } from "../../net/api";
import { classes, images, taggedCount, tagTick } from "../../store/app";
import {
  confirmSelection,
  isConfirming,
  LEAST_TAGGED,
  correct,
  probsOf,
  selection,
  startConfirming,
  startSuggestions,
  suggestions,
  toConfirm,
} from "../../store/tagging";
import { Button, Key, Meter, Swatch } from "../../ui/bits";
import { Icon } from "../../ui/icons";

export function SuggestBar(): JSX.Element {
  const facts = suggestions.value;
  const tagged = taggedCount.value;
  const total = images.value?.names.length ?? 0;
  const left = toConfirm.value.length;
  const isBusy = facts?.state === "features";
  const isReady = facts?.state === "ready" || facts?.state === "stale";
  let text: string;
  if (isBusy) text = facts.message || `Looking at the images: ${number(facts.done)} of ${number(facts.total)}`;
  else if (tagged === total && left === 0) text = "Every image is tagged.";
  else if (tagged < LEAST_TAGGED) text = `${counted(LEAST_TAGGED - tagged, "more tagged image")}, and the other tags can be suggested.`;
  else if (isReady && left > 0) text = `${counted(left, "image")} to confirm or correct, least certain first.`;
  else if (isReady) text = "Every suggestion has been looked at.";
  else text = facts?.message || "Enough images are tagged: let the others be suggested.";
  return (
    <div class="suggest-bar">
      <div class="tagged-meter">
        <span class="number">
          <b>{number(tagged)}</b> of {number(total)} tagged
        </span>
        <Meter value={percent(tagged, total)} label="Images tagged" />
      </div>
      <span class="muted grow" role="status">{text}</span>
      {isBusy && <Meter value={facts.total > 0 ? percent(facts.done, facts.total) : null} label="Suggestions" />}
      {isReady && left > 0 && !isConfirming.value && (
        <Button kind="primary" icon="check" onClick={startConfirming}>Confirm or correct</Button>
      )}
      {!isBusy && tagged >= LEAST_TAGGED && tagged < total && !isConfirming.value && (
        <Button icon="spark" onClick={() => void startSuggestions()}>{isReady ? "Suggest again" : "Suggest tags"}</Button>
      )}
    </div>
  );
}

/** One image large with its suggested tags. */
export function ConfirmView(): JSX.Element | null {
  tagTick.value;
  const all = images.value;
  const image = selection.value.cursor;
  const queue = toConfirm.value;
  useEffect(() => {
    for (const next of queue.slice(0, 3)) if (all) new Image().src = query("/api/thumb", { name: all.names[next], side: 768 });
  }, [queue[0]]);
  if (!all || image < 0) return null;
  const probs = probsOf(image) ?? [];
  return (
    <section class="confirm" aria-label="Confirm or correct">
      <header class="row">
        <Button icon="left" onClick={() => (isConfirming.value = false)}>All images</Button>
        <h2 class="grow cut">{all.names[image]}</h2>
        <span class="muted number" role="status">{counted(queue.length, "image")} left</span>
      </header>
      <div class="confirm-picture">
        <img key={image} src={thumbUrl(all.names[image], 768)} alt={all.names[image]} />
      </div>
      <ul class="answers">
        {classes.value.map((one, cls) => {
          const value = all.tags.get(image, cls);
          const p = probs[cls] ?? null;
          const isSuggested = value === UNKNOWN && p !== null && p >= 0.5;
          const kind = value === PRESENT ? "present" : value === ABSENT ? "absent" : isSuggested ? "suggested" : "unlikely";
          return (
            <li key={one.name}>
              <button
                type="button"
                class={`answer ${kind}`}
                aria-label={`${one.name}: ${kind === "unlikely" ? "not suggested" : kind}${p === null ? "" : `, ${Math.round(p * 100)} percent`}`}
                onClick={() => correct(cls)}
              >
                {one.key && <Key>{one.key.toUpperCase()}</Key>}
                <Swatch colour={one.colour} />
                <span class="word">{one.name}</span>
                {value === PRESENT ? <Icon name="check" size={16} /> : p !== null && <span class="small number">{Math.round(p * 100)}%</span>}
              </button>
            </li>
          );
        })}
      </ul>
      <footer class="row wrap">
        <Button kind="primary" class="large" onClick={confirmSelection}>
          Confirm <Key>Enter</Key>
        </Button>
        <span class="muted">Dashed tags become present, all others absent. A key, or a click, corrects one.</span>
      </footer>
    </section>
  );
}
