/** Masks in the formats of other tools. */

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { targets } from "../logic/selection";
import { counted, number } from "../logic/time";
import { request } from "../net/api";
import { complain, images, keptCount, project, tell } from "../store/app";
import { drained } from "../store/saving";
import { selection } from "../store/tagging";
import { Button } from "../ui/bits";
import { MissingMasks } from "./missing";

const FORMATS: [string, string, string][] = [
  ["coco", "COCO", "One JSON file; masks as run lengths, exact to the pixel."],
  ["voc", "PASCAL VOC", "A folder of palette PNGs with lists of images."],
  ["yolo", "YOLO", "Polygons, one text file an image, and data.yaml."],
  ["cvat", "CVAT", "One XML file for images, to load into a CVAT task."],
  ["label-studio", "Label Studio", "One JSON file of tasks with predictions."],
];

type Which = "all" | "kept" | "selection";

const format = signal("coco");
const which = signal<Which>("all");

function fileName(response: Response, fallback: string): string {
  const header = response.headers.get("Content-Disposition") ?? "";
  const wide = /filename\*=utf-8''([^;]+)/i.exec(header);
  return wide ? decodeURIComponent(wide[1]) : (/filename="?([^";]+)"?/.exec(header)?.[1] ?? fallback);
}

async function download(names: string[]): Promise<void> {
  await drained();
  const body: Record<string, unknown> = { to: format.value, which: which.value };
  if (which.value === "selection") body.names = names;
  const response = await request("/api/export", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = fileName(response, `${project.value?.name ?? "masks"}-${format.value}.zip`);
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  const left = Number(response.headers.get("X-Left-Out") ?? 0);
  const written = Number(response.headers.get("X-Images") ?? 0);
  tell(`${link.download}: ${counted(written, "image")}${left > 0 ? `; ${counted(left, "image")} without a mask left out` : ""}`);
}

export function ExportView(): JSX.Element {
  const [isBusy, setBusy] = useState(false);
  const all = images.value;
  const chosen = all ? targets(selection.value).map((i) => all.names[i]) : [];
  const masks = all?.mask.filter((one) => one > 0).length ?? 0;
  const kept = keptCount.value;
  const counts: Record<Which, number> = { all: masks, kept, selection: chosen.length };
  const rows: [Which, string, string][] = [
    ["all", "All masks", `${counted(masks, "mask")}: kept where there is one, else predicted`],
    ["kept", "Kept masks alone", counted(kept, "mask")],
    ["selection", "Selection", chosen.length > 0 ? `${counted(chosen.length, "image")} selected in Tag` : "Select images in Tag first"],
  ];
  return (
    <div class="page">
      <div class="column">
        <h2 class="title">Export</h2>
        <MissingMasks />
        <section class="card stack wide-gap">
          <fieldset class="plain">
            <legend>Format</legend>
            <div class="formats">
              {FORMATS.map(([value, title, text]) => (
                <label key={value} class="preset">
                  <input type="radio" name="format" checked={format.value === value} onChange={() => (format.value = value)} />
                  <span>
                    <b>{title}</b>
                    <span class="muted">{text}</span>
                  </span>
                </label>
              ))}
            </div>
          </fieldset>
          <fieldset class="plain">
            <legend>Images</legend>
            {rows.map(([value, title, text]) => (
              <label key={value} class="check">
                <input type="radio" name="which" checked={which.value === value} disabled={counts[value] === 0 && which.value !== value} onChange={() => (which.value = value)} />
                <span>
                  {title} <span class="muted">({text})</span>
                </span>
              </label>
            ))}
          </fieldset>
          <div class="row wrap">
            <Button
              kind="primary"
              class="large"
              icon="download"
              disabled={isBusy || counts[which.value] === 0}
              onClick={() => {
                setBusy(true);
                void download(chosen)
                  .catch(complain)
                  .finally(() => setBusy(false));
              }}
            >
              {isBusy ? "Writing…" : "Download"}
            </Button>
            <span class="muted" role="status">{counts[which.value] === 0 ? "There is no mask yet: train, or keep a mask in Review." : `${number(counts[which.value])} in the file`}</span>
          </div>
        </section>
      </div>
    </div>
  );
}
