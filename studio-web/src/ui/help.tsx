/** The sheet of keys. */

import type { JSX } from "preact";
import { isHelpOpen } from "../store/app";
import { Dialog, Key } from "./bits";

const SHEET: [string, [string[], string][]][] = [
  [
    "Everywhere",
    [
      [["Alt", "1"], "Tag, Train (2), Review (3), Export (4)"],
      [["Ctrl", "Z"], "Undo"],
      [["Ctrl", "Shift", "Z"], "Redo"],
      [["/"], "Search: images in Tag, classes in Review"],
      [["?"], "This sheet"],
    ],
  ],
  [
    "Tag",
    [
      [["1"], "The class with this key is present; again: unknown"],
      [["Shift", "1"], "The class is absent; again: unknown"],
      [["0"], "No other class: what is not known becomes absent"],
      [["←", "→", "↑", "↓"], "Move; with Shift: select a range"],
      [["Space"], "Add the image to the selection, or take it out"],
      [["Ctrl", "A"], "Select all that are shown"],
      [["Esc"], "Select nothing"],
      [["Enter"], "Confirm the suggested tags, go on to the next"],
      [["Backspace"], "Confirming: back to the image before"],
      [["+"], "New class"],
    ],
  ],
  [
    "Review: tools",
    [
      [["B"], "Brush"],
      [["E"], "Eraser: paint background"],
      [["X"], "Back to the prediction"],
      [["P"], "Polygon; Enter or double click closes it"],
      [["F"], "Fill a region of one class"],
      [["S"], "Take a superpixel"],
      [["M"], "Take the class map above a threshold"],
      [["H"], "Move the image"],
      [["[", "]"], "Smaller or larger brush; threshold"],
    ],
  ],
  [
    "Review: classes and images",
    [
      [["1", "…", "9"], "Paint this class; 0: background"],
      [["K"], "Keep the mask and go on to the next"],
      [["N"], "Next image; with Shift: the one before"],
      [["O"], "Show one class alone"],
      [["V"], "Hide the mask while pressed"],
      [["-", "+"], "Zoom; 1:1 with Z, Z again: whole image"],
      [["Space"], "Move the image while pressed; or middle button, two fingers"],
      [["←", "→", "↑", "↓"], "On the canvas: a cross hair; Enter paints there"],
    ],
  ],
];

export function Help(): JSX.Element | null {
  if (!isHelpOpen.value) return null;
  return (
    <Dialog title="Keys" wide onClose={() => (isHelpOpen.value = false)}>
      <div class="help">
        {SHEET.map(([title, rows]) => (
          <section>
            <h3>{title}</h3>
            <dl>
              {rows.map(([keys, text]) => [
                <dt>
                  {keys.map((key) => (
                    <Key>{key}</Key>
                  ))}
                </dt>,
                <dd>{text}</dd>,
              ])}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
