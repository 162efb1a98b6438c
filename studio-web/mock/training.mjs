// A training that takes half a minute and trains nothing.
const STAGES = [
  ["preparing", 4],
  ["first-masks", 4],
  ["training", 16],
  ["writing", 4],
];
const EPOCHS = 12;

export class Training {
  constructor(images, publish, onDone, names) {
    Object.assign(this, { images, publish, onDone, names, started: 0, offset: 0, run: null, ended: null, number: 1 });
    setInterval(() => this.started && !this.ended && this.tick(), 1000).unref();
  }

  get seconds() {
    return this.offset + (Date.now() - this.started) / 1000;
  }

  get hasMasks() {
    return this.started > 0 && this.seconds > STAGES[0][1] + 1;
  }

  start({ run }) {
    this.offset = run && this.ended === "stopped" ? this.offset : 0;
    if (!run) this.number++;
    this.run = run ?? `run-${this.number}`;
    this.started = Date.now();
    this.ended = null;
    this.publish("training");
    return this.run;
  }

  stop() {
    this.offset = this.seconds;
    this.ended = "stopped";
    this.publish("training");
  }

  tick() {
    if (this.seconds >= 28) {
      this.ended = "done";
      this.onDone(this.run);
    }
    this.publish("training");
    if (Math.floor(this.seconds) % 4 === 0 || this.ended) this.publish("masks");
  }

  facts() {
    if (!this.started) return { state: "idle", run: null, epoch: null, epochs: null, seconds_left: null, images_per_second: null, first_masks: 0, log: [], verdict: null, error: null };
    let left = this.seconds;
    let state = this.ended;
    for (const [name, length] of STAGES) {
      if (!state && left < length) state = name;
      if (!state) left -= length;
    }
    state ??= "writing";
    const isTraining = state === "training";
    return {
      state,
      run: this.run,
      epoch: isTraining ? Math.min(EPOCHS, Math.floor((left / 16) * EPOCHS)) : null,
      epochs: isTraining ? EPOCHS : null,
      seconds_left: this.ended ? null : Math.max(1, 28 - this.seconds),
      images_per_second: isTraining ? 41.7 : null,
      first_masks: this.hasMasks ? Math.min(this.images, 24, Math.floor((this.seconds - 4) * 6)) : 0,
      log: [`read ${this.images} images`, "features of resnet18: done", ...(isTraining ? [`epoch ${Math.floor((left / 16) * EPOCHS)}: loss 0.31`] : [])],
      verdict: this.ended === "done" ? this.verdict() : null,
      error: null,
    };
  }

  verdict() {
    const lights = ["green", "green", "amber", "green", "red", "green"];
    const reasons = {
      green: "Held-out tags are predicted well, and masks agree with the images' edges.",
      amber: "Masks differ much between two ways to make them: look at twenty.",
      red: "Only 6 images are tagged with it. Tag 30, and train again.",
    };
    return { colour: "amber", classes: this.names().slice(0, 8).map((name, i) => ({ name, light: lights[i % 6], reason: reasons[lights[i % 6]] })) };
  }
}
