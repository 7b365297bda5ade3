// Opens pages in Chromium and says what it saw: `node look.mjs FOLDER_OF_NODE_MODULES CHROMIUM < looks.json`.
// A look: the file `page`; `width`, `height` and `scale` of the window, `scheme` (light or dark); `axe`, whether to look
// for what keeps people out; `policy`, a Content-Security-Policy that a server sends with the page; `shot` and `pdf`,
// where to put a picture of the whole page and a print of it;
// `until`, the element that the picture ends with.
// What was seen: `requests` but for the page itself; what it `said` on the console; by how many pixels it `scrolls`
// sideways; what sticks `outside`; its `background` and `text`; axe's `violations`. One for each look, in order.
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
    viewport: { width: look.width ?? 1280, height: look.height ?? 900 },
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
  let address = pathToFileURL(look.page).href;
  if (look.policy) {
    // As a server would send it: it adds its own policy to that of the page.
    address = "http://report.example/";
    const headers = { "content-type": "text/html; charset=utf-8", "content-security-policy": look.policy };
    await page.route(address, async (route) => route.fulfill({ body: await readFile(look.page), headers }));
  }
  await page.goto(address, { waitUntil: "load" });
  const answer = {
    requests: requests.filter((url) => url !== address),
    said: [...said],
    scrolls: await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth),
    background: await page.evaluate(() => getComputedStyle(document.body).backgroundColor),
    text: await page.evaluate(() => document.body.innerText),
    outside: await page.evaluate(() =>
      [...document.querySelectorAll("body *")]
        .filter((element) => !element.closest("svg, pre, table"))
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
  if (look.shot) {
    const end = look.until && (await page.locator(look.until).boundingBox());
    const clip = end ? { x: 0, y: 0, width: page.viewportSize().width, height: end.y + end.height + 16 } : undefined;
    await page.screenshot({ path: look.shot, fullPage: true, clip });
  }
  if (look.pdf) await page.pdf({ path: look.pdf, format: "A4", printBackground: true });
  seen.push(answer);
  await context.close();
}
await browser.close();
console.log(JSON.stringify(seen));
