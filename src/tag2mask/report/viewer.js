// Enlarges an image: click or Enter opens, arrow keys go to the next step or image, Escape closes.
"use strict";
(() => {
  const viewer = document.getElementById("viewer");
  const figures = [...document.querySelectorAll("figure:has(img)")];
  const part = (name) => viewer.querySelector(`[data-part=${name}]`);
  const [title, count, caption] = ["title", "count", "caption"].map(part);
  const image = new Image();
  part("previous").after(image);
  const groupOf = (figure) => figure.closest(".strip, .queue");
  const captionOf = (figure) => figure.querySelector("b").textContent;
  let current = 0;

  function show(index) {
    current = (index + figures.length) % figures.length;
    const figure = figures[current];
    const small = figure.querySelector("img");
    image.src = small.src;
    image.alt = small.alt;
    title.textContent = groupOf(figure).getAttribute("aria-label");
    count.textContent = `${current + 1} of ${figures.length}`;
    caption.replaceChildren(...[...figure.querySelector("figcaption").children].map((one) => one.cloneNode(true)));
  }

  // The same step of the image before or after; where it has none, its first.
  function sameStep(direction) {
    const groups = [...new Set(figures.map(groupOf))];
    const group = groups[groups.indexOf(groupOf(figures[current])) + direction];
    if (!group) return;
    const there = figures.filter((one) => groupOf(one) === group);
    const wanted = captionOf(figures[current]);
    show(figures.indexOf(there.find((one) => captionOf(one) === wanted) ?? there[0]));
  }

  document.querySelector(".enlarging")?.removeAttribute("hidden");

  const moves = {
    ArrowLeft: () => show(current - 1),
    ArrowRight: () => show(current + 1),
    ArrowUp: () => sameStep(-1),
    ArrowDown: () => sameStep(1),
    Home: () => show(0),
    End: () => show(figures.length - 1),
  };

  for (const [index, figure] of figures.entries()) {
    const small = figure.querySelector("img");
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Enlarge";
    small.replaceWith(button);
    button.append(small);
    button.addEventListener("click", () => {
      show(index);
      viewer.showModal();
    });
  }
  viewer.addEventListener("keydown", (event) => {
    const move = event.altKey || event.ctrlKey || event.metaKey ? undefined : moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  });
  viewer.addEventListener("close", () => figures[current].querySelector("button").focus());
  image.addEventListener("click", () => viewer.close());
  part("close").addEventListener("click", () => viewer.close());
  part("previous").addEventListener("click", () => show(current - 1));
  part("next").addEventListener("click", () => show(current + 1));

  let start = null;
  image.addEventListener("touchstart", (event) => (start = event.touches.length === 1 ? event.touches[0].clientX : null), { passive: true });
  image.addEventListener("touchend", (event) => {
    const moved = start === null ? 0 : event.changedTouches[0].clientX - start;
    if (Math.abs(moved) < 40) return;
    event.preventDefault(); // no click: it would close
    show(current + (moved < 0 ? 1 : -1));
  });

  // What is folded up is printed too.
  const folded = [...document.querySelectorAll("details")];
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = folded.filter((one) => !one.open);
    for (const one of closed) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of closed) one.open = false;
  });
})();
