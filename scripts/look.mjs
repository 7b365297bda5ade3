// Opens pages in Chromium and prints the results: `node look.mjs FOLDER_OF_NODE_MODULES CHROMIUM < looks.json`.
// A look has: the file `page`; `width`, `height` and `scale` of the window; `scheme` (light or dark); `axe`, whether to
// check accessibility; `policy`, a Content-Security-Policy that a server sends with the page; `shot` and `pdf`, the
// paths of a screenshot of the whole page and a print; `until`, the last element in the screenshot.
// A result has: `requests`, except for the page; `messages`, the messages on the console; `scrolls`, the pixels of
// horizontal scrolling; `outside`, the elements that overflow the window; `background` and `text`; the `violations` of
// axe. Results have the order of the looks.
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
  const messages = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => messages.push(message.text()));
  page.on("pageerror", (error) => messages.push(error.message));
  page.on("dialog", (dialog) => messages.push(dialog.message()));
  let address = pathToFileURL(look.page).href;
  if (look.policy) {
    // Act as a server that adds a policy to the page's policy.
    address = "http://report.example/";
    const headers = { "content-type": "text/html; charset=utf-8", "content-security-policy": look.policy };
    await page.route(address, async (route) => route.fulfill({ body: await readFile(look.page), headers }));
  }
  await page.goto(address, { waitUntil: "load" });
  const result = {
    requests: requests.filter((url) => url !== address),
    messages: [...messages],
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
    const results = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    result.violations = results.violations.map(
      (violation) => `${violation.id}: ${violation.help} ${violation.nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`,
    );
  }
  if (look.shot) {
    const end = look.until && (await page.locator(look.until).boundingBox());
    const clip = end ? { x: 0, y: 0, width: page.viewportSize().width, height: end.y + end.height + 16 } : undefined;
    await page.screenshot({ path: look.shot, fullPage: true, clip });
  }
  if (look.pdf) await page.pdf({ path: look.pdf, format: "A4", printBackground: true });
  seen.push(result);
  await context.close();
}
await browser.close();
console.log(JSON.stringify(seen));
