/** Beside the canvas: what is in the mask, search of classes, how it is shown, settings, steps of the method. */

import { computed, signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { classes, project, tell } from "../../store/app";
import { addClass } from "../../store/tagging";
import {
  brushSize,
  chooseValue,
  isAlone,
  isEverywhere,
  isGuideLoading,
  isPaintingOnly,
  isStroke,
  opacity,
  paintValue,
  superpixelCount,
  threshold,
  tool,
} from "../../store/painting";
import { clearPainting, isKept, sheet, takeBack } from "../../store/review";
import { areSettingsOpen, areStepsOpen, change, isPredicting, predictError, reset, settings, steps, usual, stepsError, type Settings as Chosen } from "../../store/settings";
import { Button, Key, Swatch } from "../../ui/bits";

export const isPanelOpen = signal(false);
const search = signal("");

/** Shares of the values of the final mask; counted a moment after the last stroke. */
function useShares(): { value: number; share: number }[] {
  const one = sheet.value;
  const tick = one?.tick.value;
  const [shares, setShares] = useState<{ value: number; share: number }[]>([]);
  useEffect(() => {
    if (!one) return setShares([]);
    const count = (): void => {
      const counts = one.counts();
      const found = [...counts.keys()].filter((value) => value > 0 && counts[value] > 0);
      setShares(found.map((value) => ({ value, share: counts[value] / one.merged.length })).sort((a, b) => b.share - a.share));
    };
    const timer = setTimeout(count, tick === 0 ? 0 : 160);
    return () => clearTimeout(timer);
  }, [one, tick]);
  return shares;
}

/** As the canvas draws it: hatched, so that it looks like no class. */
const UNDECIDED = "repeating-linear-gradient(135deg, #fff 0 2px, #333 2px 4px)";
const nameOf = (value: number): string => (value === 0 ? "background" : value === 255 ? "undecided" : (classes.value[value - 1]?.name ?? `class ${value}`));
const colourOf = (value: number): string => (value === 0 ? "transparent" : value === 255 ? UNDECIDED : (classes.value[value - 1]?.colour ?? "#808080"));
const keyOfValue = (value: number): string => (value <= 9 ? String(value) : "");

function ClassButton({ value, share }: { value: number; share?: number }): JSX.Element {
  const isChosen = paintValue.value === value;
  return (
    <button
      type="button"
      class="legend-row"
      aria-pressed={isChosen}
      aria-keyshortcuts={keyOfValue(value) || undefined}
      disabled={value === 255}
      onClick={() => {
        chooseValue(value);
        search.value = "";
      }}
    >
      {value === 0 ? <span class="swatch none" /> : <Swatch colour={colourOf(value)} />}
      <span class="grow cut">{nameOf(value)}</span>
      {share !== undefined && <span class="muted small number">{share < 0.001 ? "<0.1" : (share * 100).toFixed(1)}%</span>}
      {keyOfValue(value) && <Key>{keyOfValue(value)}</Key>}
    </button>
  );
}

const hits = computed(() => {
  const text = search.value.trim().toLowerCase();
  return text ? classes.value.flatMap((one, i) => (one.name.toLowerCase().includes(text) ? [i + 1] : [])).slice(0, 30) : [];
});

function ClassSearch(): JSX.Element {
  const text = search.value.trim();
  const isNew = text !== "" && !classes.value.some((one) => one.name.toLowerCase() === text.toLowerCase());
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (hits.value.length > 0) chooseValue(hits.value[0]);
        search.value = "";
        (document.activeElement as HTMLElement | null)?.blur();
      }}
    >
      <input
        id="class-search"
        type="search"
        placeholder="Find a class to paint"
        aria-label="Find a class to paint"
        aria-keyshortcuts="/"
        autocomplete="off"
        value={search.value}
        onInput={(event) => (search.value = event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Escape") return;
          search.value = "";
          event.currentTarget.blur();
        }}
      />
      {text !== "" && (
        <div class="legend">
          {hits.value.map((value) => (
            <ClassButton key={value} value={value} />
          ))}
          {isNew && (
            <Button
              icon="plus"
              onClick={() =>
                void addClass(text).then((added) => {
                  if (!added) return;
                  chooseValue(classes.value.length);
                  search.value = "";
                  tell(`${text} is a class now.`);
                })
              }
            >
              New class “{text}”
            </Button>
          )}
        </div>
      )}
    </form>
  );
}

function Slider(props: { label: string; value: number; min: number; max: number; step?: number; unit?: string; shortcut?: string; onInput: (value: number) => void }): JSX.Element {
  return (
    <label class="slider">
      <span>{props.label}</span>
      <output>{`${props.value}${props.unit ?? ""}`}</output>
      <input
        type="range"
        min={props.min}
        max={props.max}
        step={props.step ?? 1}
        value={props.value}
        title={props.shortcut ? `${props.label} (${props.shortcut})` : undefined}
        onInput={(event) => props.onInput(Number(event.currentTarget.value))}
      />
    </label>
  );
}

function ToolOptions(): JSX.Element | null {
  const which = tool.value;
  if (isStroke(which)) return <Slider label="Brush" unit=" px" min={1} max={400} value={brushSize.value} shortcut="[ and ]" onInput={(v) => (brushSize.value = v)} />;
  const loading = isGuideLoading.value && <p class="muted small" role="status">Loading…</p>;
  if (which === "superpixel") return <><Slider label="Superpixels" min={50} max={4000} step={50} value={superpixelCount.value} shortcut="[ and ]" onInput={(v) => (superpixelCount.value = v)} />{loading}</>;
  if (which !== "map") return null;
  return (
    <>
      <Slider label="Class map above" unit="%" min={1} max={99} value={threshold.value} shortcut="[ and ]" onInput={(v) => (threshold.value = v)} />
      <label class="check">
        <input type="checkbox" checked={isEverywhere.value} onChange={(event) => (isEverywhere.value = event.currentTarget.checked)} />
        Everywhere, not only where I click
      </label>
      {loading}
    </>
  );
}

const CHOICES = { tagged: "tagged", network: null, these: [] } satisfies Record<string, Chosen["tags"]>;

const withClass = (tags: Chosen["tags"], name: string, isIn: boolean): string[] => {
  const others = Array.isArray(tags) ? tags.filter((one) => one !== name) : [];
  return isIn ? [...others, name] : others;
};

function Settings(): JSX.Element {
  const now = settings.value;
  const { crf } = now;
  const isChanged = now !== usual.value;
  return (
    <details open={areSettingsOpen.value} onToggle={(event) => (areSettingsOpen.value = event.currentTarget.open)}>
      <summary>Settings of the prediction</summary>
      <div class="stack inset">
        <p class="muted small">They change the mask below. What you painted stays.</p>
        <Slider label="Tag probability of a class, at least" min={0} max={1} step={0.01} value={now.gate} onInput={(gate) => change({ gate })} />
        <fieldset>
          <legend>Classes in this image</legend>
          <select
            aria-label="Classes in this image"
            value={Array.isArray(now.tags) ? "these" : (now.tags ?? "network")}
            onChange={(event) => change({ tags: CHOICES[event.currentTarget.value as keyof typeof CHOICES] })}
          >
            <option value="tagged">As the image is tagged</option>
            <option value="network">What the network finds</option>
            <option value="these">These alone</option>
          </select>
          {Array.isArray(now.tags) &&
            classes.value.map((one) => (
              <label class="check" key={one.name}>
                <input
                  type="checkbox"
                  checked={now.tags?.includes(one.name)}
                  onChange={(event) => change({ tags: withClass(now.tags, one.name, event.currentTarget.checked) })}
                />
                <Swatch colour={one.colour} />
                {one.name}
              </label>
            ))}
        </fieldset>
        <label class="check">
          <input type="checkbox" checked={crf.enabled} onChange={(event) => change({ crf: { enabled: event.currentTarget.checked } })} />
          Refine edges (dense CRF)
        </label>
        {crf.enabled && (
          <>
            <Slider label="Colour: weight" min={0} max={20} step={0.5} value={crf.bilateral_weight} onInput={(v) => change({ crf: { bilateral_weight: v } })} />
            <Slider label="Colour: difference" min={1} max={60} value={crf.bilateral_rgb} onInput={(v) => change({ crf: { bilateral_rgb: v } })} />
            <Slider label="Colour: distance" unit=" px" min={5} max={200} step={5} value={crf.bilateral_xy} onInput={(v) => change({ crf: { bilateral_xy: v } })} />
            <Slider label="Smoothness: weight" min={0} max={20} step={0.5} value={crf.gaussian_weight} onInput={(v) => change({ crf: { gaussian_weight: v } })} />
            <Slider label="Iterations" min={1} max={30} value={crf.iterations} onInput={(v) => change({ crf: { iterations: v } })} />
          </>
        )}
        <div class="row">
          <Button disabled={!isChanged} onClick={reset}>Reset</Button>
          <span class="muted small" role="status">{isPredicting.value ? "Predicting…" : ""}</span>
        </div>
        {predictError.value && <p class="warning" role="alert">{predictError.value}</p>}
      </div>
    </details>
  );
}

function Steps(): JSX.Element {
  return (
    <details open={areStepsOpen.value} onToggle={(event) => (areStepsOpen.value = event.currentTarget.open)}>
      <summary>Steps of the method</summary>
      {stepsError.value && <p class="muted inset">{stepsError.value}</p>}
      <p class="colour-bar small inset" hidden={!steps.value?.length}>
        <span>0</span>
        <span class="bar" role="img" aria-label="Colour bar of heat maps: black is 0, light yellow is 1" />
        <span>1</span>
      </p>
      <ol class="steps inset">
        {(steps.value ?? []).map((one) => (
          <li key={one.url}>
            <figure>
              <img src={one.url} alt={`Heat map: ${one.caption}`} loading="lazy" />
              <figcaption>{one.caption}</figcaption>
            </figure>
          </li>
        ))}
      </ol>
    </details>
  );
}

const SOURCES = { none: "No prediction yet: you paint on an empty mask.", predicted: "Predicted", kept: "Kept", first: "First mask, before training", settings: "Predicted with your settings" };

export function Panel(): JSX.Element {
  const one = sheet.value;
  const shares = useShares();
  const inMask = new Set(shares.map((row) => row.value));
  one?.tick.value;
  return (
    <aside class={`panel ${isPanelOpen.value ? "open" : ""}`} aria-label="Mask" id="panel">
      <section class="stack">
        <h2>In this mask</h2>
        <div class="legend">
          {shares.map((row) => (
            <ClassButton key={row.value} {...row} />
          ))}
          {shares.length === 0 && <p class="muted">Background alone.</p>}
        </div>
        {!inMask.has(paintValue.value) && (
          <div class="legend">
            <p class="muted small">You paint</p>
            <ClassButton value={paintValue.value} />
          </div>
        )}
        <ClassSearch />
        {one && <p class="muted small">{SOURCES[one.source.value]}{one.isPainted ? "; painted on by you" : ""}</p>}
      </section>
      <section class="stack">
        <ToolOptions />
        <Slider label="Opacity" unit="%" min={0} max={100} value={opacity.value} onInput={(v) => (opacity.value = v)} />
        <label class="check">
          <input type="checkbox" checked={isAlone.value} aria-keyshortcuts="o" onChange={(event) => (isAlone.value = event.currentTarget.checked)} />
          <span class="grow">Only {nameOf(paintValue.value)}</span>
          <Key>O</Key>
        </label>
        <label class="check">
          <input type="checkbox" checked={isPaintingOnly.value} onChange={(event) => (isPaintingOnly.value = event.currentTarget.checked)} />
          Only what I painted
        </label>
        <div class="row wrap">
          <Button disabled={!one?.isPainted} onClick={clearPainting}>Clear painting</Button>
          {one && isKept(one.name) && <Button onClick={() => void takeBack()}>Take back “kept”</Button>}
        </div>
      </section>
      {project.value?.run && <Settings />}
      {project.value?.run && <Steps />}
    </aside>
  );
}
