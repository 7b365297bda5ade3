// Opens pages in Chromium and says what it saw: `node look.mjs NODE_MODULES CHROMIUM < looks.json`.
// A look is {name, page, width, scheme, shot, pdf, axe}; the answer has one object for each, in order.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { resolve, sep } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const [tools, executablePath] = process.argv.slice(2);
const require = createRequire(resolve(tools) + sep);
const { chromium } = require("playwright-core");
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
const quiet = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];

const browser = await chromium.launch({ executablePath, args: quiet });
const seen = [];
for (const look of JSON.parse(await text(process.stdin))) {
  const context = await browser.newContext({
    viewport: { width: look.width, height: look.height ?? 900 },
    deviceScaleFactor: look.scale ?? 1,
    colorScheme: look.scheme ?? "light",
  });
  const page = await context.newPage();
  const requests = [];
  const said = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(error.message));
  page.on("dialog", (dialog) => said.push(dialog.message()));
  const address = pathToFileURL(look.page).href;
  await page.goto(address, { waitUntil: "load" });
  const answer = {
    requests: requests.filter((url) => url !== address),
    said: [...said],
    scrolls: await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth),
    background: await page.evaluate(() => getComputedStyle(document.body).backgroundColor),
    text: await page.evaluate(() => document.body.innerText),
    // What sticks out of the page, or what is wider than the box around it.
    outside: await page.evaluate(() =>
      [...document.querySelectorAll("body *")]
        .filter((element) => !element.closest("svg") && !element.closest("pre"))
        .filter((element) => element.getBoundingClientRect().right > window.innerWidth + 0.5)
        .map((element) => element.outerHTML.slice(0, 80)),
    ),
    violations: [],
  };
  if (look.axe) {
    await page.evaluate(axe);
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    answer.violations = found.violations.map(
      (one) => `${one.id}: ${one.help} ${one.nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`,
    );
  }
  if (look.shot) await page.screenshot({ path: look.shot, fullPage: look.full ?? true });
  if (look.pdf) await page.pdf({ path: look.pdf, format: "A4", printBackground: true });
  seen.push(answer);
  await context.close();
}
await browser.close();
console.log(JSON.stringify(seen));
