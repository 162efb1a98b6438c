/** The page around the views: heading, navigation, banner, messages. */

import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Button, isPlain, isTyping, keyOf, useKeys } from "./ui/bits";
import { Help } from "./ui/help";
import { Icon, type IconName } from "./ui/icons";
import {
  dismiss,
  go,
  images,
  isHelpOpen,
  loadAll,
  loadError,
  project,
  setTheme,
  theme,
  toasts,
  view,
  VIEWS,
  waiting,
  type Theme,
  type ViewName,
} from "./store/app";
import { counted } from "./logic/time";
import { isAway } from "./net/api";
import { retry } from "./store/saving";
import { ExportView } from "./views/export";
import { ReviewView } from "./views/review/review";
import { TagView } from "./views/tag/tag";
import { TrainView } from "./views/train/train";

const TITLES: Record<ViewName, string> = { tag: "Tag", train: "Train", review: "Review", export: "Export" };

const NEXT_THEME: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };
const THEME_ICONS: Record<Theme, IconName> = { auto: "auto", light: "sun", dark: "moon" };
const THEME_WORDS: Record<Theme, string> = { auto: "as the system", light: "light", dark: "dark" };

function Top(): JSX.Element {
  return (
    <header class="top">
      <div class="brand">
        <img src="icon.svg" alt="" />
        <div class="grow">
          <h1 class="cut">{project.value?.name ?? "tag2mask"}</h1>
          {project.value && <p class="muted small cut number">{counted(project.value.images, "image")}</p>}
        </div>
      </div>
      <nav class="views" aria-label="Views">
        {VIEWS.map((name, i) => (
          <a
            key={name}
            href={`#${name}`}
            aria-current={view.value === name ? "page" : undefined}
            aria-keyshortcuts={`Alt+${i + 1}`}
            title={`${TITLES[name]} (Alt ${i + 1})`}
            onClick={(event) => {
              event.preventDefault();
              go(name);
            }}
          >
            <Icon name={name} />
            {TITLES[name]}
          </a>
        ))}
      </nav>
      <div class="top-end">
        <span class="saved" role="status" title={waiting.value > 0 ? "Saving" : "Everything is saved"}>
          {waiting.value > 0 ? <span class="words">Saving…</span> : [<Icon name="check" size={16} />, <span class="words">Saved</span>]}
        </span>
        <Button icon={THEME_ICONS[theme.value]} kind="quiet" label={`Colours: ${THEME_WORDS[theme.value]}`} onClick={() => setTheme(NEXT_THEME[theme.value])} />
        <Button icon="help" kind="quiet" label="Keys" shortcut="?" onClick={() => (isHelpOpen.value = true)} />
      </div>
    </header>
  );
}

function Banner(): JSX.Element {
  return (
    <div role="alert">
      {isAway.value && (
        <div class="banner">
          <Icon name="warn" />
          <span class="grow">
            The server does not answer.{" "}
            {waiting.value > 0 ? "Your work is kept in this browser and saved when it is back." : "Nothing is unsaved."}
          </span>
          <Button onClick={() => retry()}>Try now</Button>
        </div>
      )}
    </div>
  );
}

function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((one) => (
        <div key={one.id} class={`toast ${one.kind}`}>
          <span>
            {one.text}
            {one.remedy && <span class="remedy"> – {one.remedy}</span>}
          </span>
          <Button icon="cross" kind="quiet" label="Close message" onClick={() => dismiss(one.id)} />
        </div>
      ))}
    </div>
  );
}

function Main(): JSX.Element {
  if (!project.value || !images.value) {
    return (
      <div class="empty">
        {loadError.value ? (
          <>
            <Icon name="warn" />
            <h2>The project cannot be loaded</h2>
            <p>{loadError.value}</p>
            <Button onClick={() => void loadAll()}>Try again</Button>
          </>
        ) : (
          <p role="status">Loading…</p>
        )}
      </div>
    );
  }
  switch (view.value) {
    case "tag":
      return <TagView />;
    case "train":
      return <TrainView />;
    case "review":
      return <ReviewView />;
    case "export":
      return <ExportView />;
  }
}

export function App(): JSX.Element {
  useKeys((event) => {
    if (event.altKey && !event.ctrlKey && /^Digit[1-4]$/.test(event.code)) {
      event.preventDefault();
      go(VIEWS[Number(event.code[5]) - 1]);
    }
    if (event.key === "?" && isPlain(event) && !isTyping(event)) isHelpOpen.value = true;
    if (keyOf(event) === "Escape" && !isTyping(event)) toasts.value = [];
  });
  useEffect(() => {
    // A button that was clicked gives the keys back to the view: Enter and Space would press it again.
    const release = (event: MouseEvent): void => {
      const button = (event.target as HTMLElement).closest?.("button");
      if (event.detail > 0 && button && !button.closest("dialog")) button.blur();
    };
    document.addEventListener("click", release);
    return () => document.removeEventListener("click", release);
  }, []);
  return (
    <div class="shell">
      <Top />
      <Banner />
      <main class="main" aria-label={TITLES[view.value]}>
        <Main />
      </main>
      <Toasts />
      <Help />
    </div>
  );
}
