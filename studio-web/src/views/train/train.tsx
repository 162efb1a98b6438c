/** Training: recipe, progress, first masks, verdict, and what corrections bring. */

import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { counted, duration, number } from "../../logic/time";
import type { TrainFacts } from "../../net/types";
import { go, keptCount, project, taggedCount } from "../../store/app";
import { corrections, firstNames, isBusy, isRestAbsent, openImages, loadCorrections, loadTraining, maskTick, recipe, start, stop, training } from "../../store/training";
import { Button, Meter } from "../../ui/bits";
import { Icon } from "../../ui/icons";
import { MissingMasks } from "../missing";
import { MaskPicture } from "./picture";
import { VerdictCard } from "./verdict";

const PRESETS: [string, string, string][] = [
  ["auto", "Chosen by measuring", "Tries on your images which recipe fits. Start here."],
  ["frozen", "Objects, in minutes", "Features of a pretrained network stay as they are. Things before a background."],
  ["frozen-surfaces", "Defects on a surface, in minutes", "The same for scratches, stains and the like on an even surface."],
  ["objects", "Objects, whole network", "Trains all weights, as in the paper. Hours without a GPU."],
  ["surfaces", "Surfaces, whole network", "The same for defects."],
];

const BACKBONES = ["resnet18", "resnet50", "tf_efficientnet_lite0", "tf_efficientnet_lite2", "mobilenetv2_100", "deit_tiny_patch16_224"];

const STAGES: [TrainFacts["state"], string][] = [
  ["preparing", "Preparing"],
  ["first-masks", "First masks"],
  ["training", "Training"],
  ["writing", "Writing masks"],
  ["done", "Done"],
];

function Recipe(): JSX.Element {
  const now = recipe.value;
  const set = (change: Partial<typeof now>): void => void (recipe.value = { ...now, ...change });
  return (
    <section class="card stack wide-gap">
      <h2>Recipe</h2>
      <div class="presets" role="radiogroup" aria-label="Recipe">
        {PRESETS.filter(([value]) => training.value?.presets?.includes(value) ?? true).map(([value, title, text]) => (
          <label key={value} class="preset">
            <input type="radio" name="preset" checked={now.preset === value} onChange={() => set({ preset: value })} />
            <span>
              <b>{title}</b>
              <span class="muted">{text}</span>
            </span>
          </label>
        ))}
      </div>
      <details>
        <summary>More settings</summary>
        <div class="fields inset">
          <label class="field">
            Backbone
            <input type="text" list="backbones" placeholder="as the recipe says" value={now.backbone} onInput={(event) => set({ backbone: event.currentTarget.value })} />
            <datalist id="backbones">
              {BACKBONES.map((name) => (
                <option key={name} value={name} />
              ))}
            </datalist>
          </label>
          <label class="field">
            Epochs
            <input type="number" min={1} placeholder="by the number of images" value={now.epochs} onInput={(event) => set({ epochs: event.currentTarget.value })} />
          </label>
        </div>
      </details>
      <OpenClasses />
      <div class="row wrap">
        <Button kind="primary" class="large" icon="play" disabled={taggedCount.value === 0} onClick={() => void start()}>Train</Button>
        <span class="muted">
          {taggedCount.value === 0 ? "Tag some images first." : `On ${counted(taggedCount.value, "tagged image")}${keptCount.value > 0 ? ` and ${counted(keptCount.value, "kept mask")}` : ""}. It goes on when this page is closed.`}
        </span>
      </div>
    </section>
  );
}

function OpenClasses(): JSX.Element | null {
  const open = openImages.value.length;
  if (open === 0) return null;
  return (
    <label class="check">
      <input type="checkbox" checked={isRestAbsent.value} onChange={(event) => (isRestAbsent.value = event.currentTarget.checked)} />
      <span>
        Mark the other classes as absent in {counted(open, "tagged image")}{" "}
        <span class="muted">where only present ones are marked. Without it, the training does not know in which images a class is not.</span>
      </span>
    </label>
  );
}

function Stages({ facts }: { facts: TrainFacts }): JSX.Element {
  const at = STAGES.findIndex(([state]) => state === facts.state);
  return (
    <ol class="stages" aria-label="Stages">
      {STAGES.map(([state, title], i) => (
        <li key={state} class={i < at || facts.state === "done" ? "past" : i === at ? "now" : ""} aria-current={i === at ? "step" : undefined}>
          <span class="dot">{(i < at || facts.state === "done") && <Icon name="check" size={12} />}</span>
          {title}
        </li>
      ))}
    </ol>
  );
}

function Progress({ facts }: { facts: TrainFacts }): JSX.Element {
  const share = facts.epochs && facts.epoch !== null ? (100 * facts.epoch) / facts.epochs : null;
  const step = facts.what && facts.total ? (100 * (facts.done ?? 0)) / facts.total : null;
  const parts = [
    facts.what && facts.total && facts.state !== "training" ? `${facts.what}: ${number(facts.done ?? 0)} of ${number(facts.total)}` : null,
    facts.epochs && facts.epoch !== null ? `Epoch ${number(facts.epoch)} of ${number(facts.epochs)}` : null,
    facts.images_per_second ? `${facts.images_per_second.toFixed(facts.images_per_second < 10 ? 1 : 0)} images a second` : null,
    facts.first_masks > 0 ? counted(facts.first_masks, "mask") : null,
  ].filter((one) => one !== null);
  return (
    <section class="card stack wide-gap" aria-label="Progress">
      <header class="row wrap">
        <h2 class="grow">{facts.run ?? "Run"}</h2>
        {facts.seconds_left !== null && <span class="time-left number">{duration(facts.seconds_left)} left</span>}
        <Button icon="stop" disabled={facts.stopping} onClick={() => void stop()}>{facts.stopping ? "Stopping…" : "Stop"}</Button>
      </header>
      <Stages facts={facts} />
      <Meter value={facts.state === "training" && share !== null ? share : step} label="Training" />
      <p class="muted number" role="status">{parts.join(" · ") || "Starting…"}</p>
      <Log facts={facts} />
    </section>
  );
}

function Log({ facts }: { facts: TrainFacts }): JSX.Element | null {
  if (facts.log.length === 0) return null;
  return (
    <details>
      <summary>Log</summary>
      <pre class="log" tabIndex={0}>{facts.log.join("\n")}</pre>
    </details>
  );
}

function Ended({ facts }: { facts: TrainFacts }): JSX.Element | null {
  if (facts.state !== "stopped" && facts.state !== "failed") return null;
  const isFailed = facts.state === "failed";
  return (
    <section class="card stack wide-gap">
      <h2>{isFailed ? `${facts.run ?? "Training"} failed` : `${facts.run} was stopped`}</h2>
      {facts.epochs && facts.epoch ? <p class="muted number">{number(facts.epoch)} of {counted(facts.epochs, "epoch")} are done and kept.</p> : null}
      {facts.error && <p class={isFailed ? "error" : "muted"} role="alert">{facts.error}</p>}
      <div class="row">
        {facts.run && facts.can_resume !== false && <Button kind="primary" icon="play" onClick={() => void start(facts.run)}>Go on with {facts.run}</Button>}
      </div>
      <Log facts={facts} />
    </section>
  );
}

function FirstMasks(): JSX.Element | null {
  const names = firstNames.value;
  if (names.length === 0) return null;
  const source = isBusy.value ? "first" : "auto";
  // While masks are written, those of before stay on the page.
  const version = training.value?.state === "writing" ? -1 : maskTick.value;
  return (
    <section class="stack" aria-label="Masks so far">
      <h2>{isBusy.value ? "Masks so far" : "Masks"}</h2>
      <ul class="first-masks">
        {names.map((name) => (
          <li key={name}>
            <a
              href={`#review/${encodeURIComponent(name)}`}
              title={name}
              onClick={(event) => {
                event.preventDefault();
                go("review", name);
              }}
            >
              <MaskPicture name={name} source={source} version={version} />
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

const percent = (share: number): string => (share * 100).toFixed(1);

function Interval({ of }: { of: [number, number] | null | undefined }): JSX.Element | null {
  return of ? <span class="muted small" title="95% interval">{`${percent(of[0])} to ${percent(of[1])}`}</span> : null;
}

function Corrections(): JSX.Element | null {
  const facts = corrections.value;
  const kept = keptCount.value;
  if (kept === 0 || !project.value?.run) return null;
  return (
    <section class="card stack wide-gap">
      <h2>Corrections</h2>
      {facts && facts.before !== null ? (
        <dl class="scores">
          <div>
            <dt>mIoU before learning from them</dt>
            <dd class="number">{percent(facts.before)} <Interval of={facts.interval_before} /></dd>
          </div>
          <div>
            <dt>mIoU after it</dt>
            <dd class="number">{facts.after === null ? "–" : percent(facts.after)} <Interval of={facts.interval_after} /></dd>
          </div>
          {facts.interval && (
            <div>
              <dt>95% interval of the change</dt>
              <dd class="number">{percent(facts.interval[0])} to {percent(facts.interval[1])}</dd>
            </div>
          )}
        </dl>
      ) : null}
      {facts?.state === "computing" && <p class="muted number" role="status">Comparing masks: {number(facts.done ?? 0)} of {number(facts.compared ?? 0)}</p>}
      {facts?.note && <p class="muted">{facts.note}</p>}
      <div class="row wrap">
        <Button icon="spark" kind={isBusy.value ? "plain" : "primary"} disabled={isBusy.value} onClick={() => void start()}>Learn from corrections</Button>
        <span class="muted">Trains again, with {counted(kept, "kept mask")} as ground truth of these images.</span>
      </div>
    </section>
  );
}

export function TrainView(): JSX.Element {
  useEffect(() => {
    void loadTraining().catch(() => undefined);
    void loadCorrections().catch(() => undefined);
  }, [keptCount.value]);
  const facts = training.value;
  return (
    <div class="page">
      <div class="column">
        <h2 class="title">Train</h2>
        {facts && isBusy.value && <Progress facts={facts} />}
        {facts && <Ended facts={facts} />}
        {facts?.verdict && !isBusy.value && <VerdictCard verdict={facts.verdict} run={facts.run} />}
        <FirstMasks />
        {!isBusy.value && <MissingMasks />}
        {!isBusy.value && <Recipe />}
        <Corrections />
      </div>
    </div>
  );
}
