/** Whether the masks can be trusted, class by class, with reasons. */

import type { JSX } from "preact";
import type { Light, Verdict } from "../../net/types";
import { go } from "../../store/app";
import { Button } from "../../ui/bits";
import { Icon, type IconName } from "../../ui/icons";

const LIGHTS: Record<Light, [IconName, string, string]> = {
  green: ["check", "good", "Good"],
  amber: ["warn", "fair", "Look closely"],
  red: ["cross", "poor", "Do not trust"],
};

const HEADINGS: Record<Light, string> = {
  green: "The masks look good",
  amber: "Some masks need a close look",
  red: "These masks cannot be trusted yet",
};

function LightMark({ light }: { light: Light }): JSX.Element {
  const [icon, kind, word] = LIGHTS[light] ?? LIGHTS.amber;
  return (
    <span class={`light ${kind}`}>
      <Icon name={icon} size={14} />
      {word}
    </span>
  );
}

export function VerdictCard({ verdict, run }: { verdict: Verdict; run: string | null }): JSX.Element {
  return (
    <section class="card stack wide-gap" aria-label="Verdict">
      <header class="row wrap">
        <h2 class="grow">{HEADINGS[verdict.colour] ?? "Verdict"}</h2>
        {run && <span class="muted">{run}</span>}
        <LightMark light={verdict.colour} />
      </header>
      {verdict.text && !verdict.findings?.length && <p>{verdict.text}</p>}
      {(verdict.findings ?? []).length > 0 && (
        <ul class="findings">
          {verdict.findings?.map((one) => (
            <li key={one.what}>
              <LightMark light={one.light} />
              <span>
                {one.what}
                <span class="muted remedy">What helps: {one.remedy}.</span>
              </span>
            </li>
          ))}
        </ul>
      )}
      <ul class="verdict">
        {verdict.classes.map((one) => (
          <li key={one.name}>
            <b class="cut">{one.name}</b>
            <LightMark light={one.light} />
            <span class="muted">{one.reason}</span>
          </li>
        ))}
      </ul>
      <div class="row">
        <Button kind="primary" icon="review" onClick={() => go("review")}>Review the least certain masks</Button>
      </div>
    </section>
  );
}
