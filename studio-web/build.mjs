// Builds the page into the Python package, or into the folder given; the same sources always give the same bytes.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, "../src/tag2mask/studio/static"));

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  logLevel: "warning",
});
await copyFile(join(here, "src/index.html"), join(out, "index.html"));
await copyFile(join(here, "src/icon.svg"), join(out, "icon.svg"));

const { dependencies } = JSON.parse(await readFile(join(here, "package.json"), "utf8"));
const names = [...Object.keys(dependencies), "@preact/signals-core"].sort();
const texts = [];
for (const name of names) {
  const folder = join(here, "node_modules", name);
  const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const text = await readFile(join(folder, "LICENSE"), "utf8");
  texts.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
}
await writeFile(join(out, "LICENSES.txt"), `Libraries in app.js\n\n${texts.join("\n" + "-".repeat(80) + "\n\n")}`);
