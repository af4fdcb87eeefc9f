// Draws <bodies>/<format>-<number>.json as <output>/<format>.png, a picture for each format.
// Usage: node draw.mjs <folder with node_modules> <bodies> <output>
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import * as slack from "./slack.mjs";
import * as discord from "./discord.mjs";
import * as teams from "./teams.mjs";

const WIDTH = 700;
const SCALE = 1.5;
const CHROMIUM = "/usr/bin/chromium";
const SWITCHES = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--font-render-hinting=none", "--force-color-profile=srgb"];

const [packages, bodies, output] = process.argv.slice(2).map((folder) => path.resolve(folder));
const { chromium } = createRequire(path.join(packages, "package.json"))("playwright-core");

function read(format) {
  const files = fs.readdirSync(bodies).filter((file) => file.startsWith(`${format}-`)).sort();
  if (files.length === 0) throw new Error(`${bodies} holds no body for it`);
  return files.map((file) => JSON.parse(fs.readFileSync(path.join(bodies, file), "utf8")));
}

// Runs in the page: what a reader would take for a mistake.
function findFaults() {
  const faults = [];
  const text = document.body.innerText;
  for (const stray of text.match(/\\|&\w+;|&#\d+;|\b(?:null|undefined|nil|NaN)\b|[<>*`{}]|\uFFFD/g) ?? []) {
    faults.push(`it shows '${stray}'`);
  }
  for (const element of document.querySelectorAll("body *")) {
    if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0) {
      faults.push(`'${element.textContent.trim().slice(0, 60)}' is wider than its place`);
    }
  }
  return faults;
}

async function draw(browser, format, service) {
  const context = await browser.newContext({
    viewport: { width: WIDTH, height: 400 }, deviceScaleFactor: SCALE, offline: true,
    locale: "en-US", timezoneId: "UTC",
  });
  const page = await context.newPage();
  let broken;
  page.on("pageerror", (error) => { broken = error; });
  const messages = read(format);
  const reset = "body { margin: 0; -webkit-font-smoothing: antialiased; }";
  await page.setContent(`<!doctype html><meta charset="utf-8"><style>${reset}${service.css}</style>
    <div id="picture">${messages.map(service.html).join("")}</div>`);
  for (const script of service.scripts ?? []) {
    await page.addScriptTag({ path: path.join(packages, "node_modules", script) });
  }
  if (service.draw) await service.draw(page, messages);
  await page.evaluate(() => document.fonts.ready.then(() => true));
  if (broken) throw broken;
  const faults = await page.evaluate(findFaults);
  if (faults.length > 0) throw new Error(faults.join("; "));
  await page.locator("#picture").screenshot({ path: path.join(output, `${format}.png`) });
  await context.close();
}

// Chromium's sandbox does not work for root.
const chromiumSandbox = process.getuid() !== 0;
const browser = await chromium.launch({ executablePath: CHROMIUM, args: SWITCHES, chromiumSandbox });
try {
  for (const [format, service] of Object.entries({ slack, discord, teams })) {
    await draw(browser, format, service).catch((error) => {
      console.error(`${format}: ${error.message}`);
      process.exitCode = 1;
    });
  }
} finally {
  await browser.close();
}
