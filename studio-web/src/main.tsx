import "./ui/base.css";
import "./ui/shell.css";
import "./views/tag/tag.css";
import "./views/train/train.css";
import "./views/review/review.css";
import { render } from "preact";
import { App } from "./app";
import { isAway } from "./net/api";
import { loadAll, project, readAddress, setTheme, theme } from "./store/app";
import { listen, startSaving } from "./store/saving";
import { followReview } from "./store/review";
import { followSuggestions } from "./store/tagging";
import { followMissing } from "./store/missing";
import { followTraining } from "./store/training";

setTheme(theme.value);
readAddress();
window.addEventListener("popstate", readAddress);
window.addEventListener("hashchange", readAddress);
render(<App />, document.getElementById("app") as HTMLElement);

/** Load until there is a project; only then is known where unsaved work of an earlier visit belongs. */
async function start(): Promise<void> {
  await loadAll();
  if (!project.value) {
    setTimeout(() => void start(), isAway.value ? 2000 : 5000);
    return;
  }
  await startSaving();
  listen();
  followSuggestions();
  followTraining();
  followReview();
  followMissing();
}

void start();
