/** Says how many images have no mask, and predicts them. */

import type { JSX } from "preact";
import { counted, number, percent } from "../logic/time";
import { missing, predictMissing } from "../store/missing";
import { Button, Meter } from "../ui/bits";

export function MissingMasks(): JSX.Element | null {
  const facts = missing.value;
  if (!facts || (facts.missing === 0 && facts.state !== "running")) return null;
  const isRunning = facts.state === "running";
  return (
    <section class="card stack" aria-label="Images without a mask">
      <div class="row wrap">
        <span class="grow" role="status">
          {isRunning ? `Predicting masks: ${number(facts.done)} of ${number(facts.total)}` : `${counted(facts.missing, "image")} without a mask: not tagged when the network was trained.`}
        </span>
        <Button icon={isRunning ? "stop" : "spark"} onClick={() => void predictMissing(!isRunning)}>{isRunning ? "Stop" : "Predict these masks"}</Button>
      </div>
      {isRunning && <Meter value={percent(facts.done, facts.total)} label="Masks predicted" />}
      {facts.error && <p class="error" role="alert">{facts.error}</p>}
    </section>
  );
}
