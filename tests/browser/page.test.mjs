// The page of `modelet bundle web`, as a visitor meets it.

import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";

import { browser, open } from "./browser.mjs";
import { DIGITS, draw } from "./draw.mjs";
import { serve, site } from "./site.mjs";

const { MODELET, REPOSITORY, CACHE } = process.env;
const SCREENSHOTS = "target/browser/screenshots";
const SITE = "target/browser/site";

let chromium, server, served, errors;

before(async () => {
  mkdirSync(SCREENSHOTS, { recursive: true });
  rmSync(SITE, { recursive: true, force: true });
  execFileSync(MODELET, ["bundle", "web", REPOSITORY, "--output", SITE, "--server", "."]);
  server = await serve(MODELET, REPOSITORY, CACHE);
  served = await site({ "/": SITE }, server);
  chromium = await browser();
});

after(async () => {
  await chromium?.close();
  served?.close();
  server?.close();
});

/** Opens the page, and after the story wants it to have had no error of its own. */
async function story(work, viewport = { width: 1000, height: 900 }) {
  errors = [];
  const page = await open(chromium.context, served.url, errors);
  await page.setViewportSize(viewport);
  try {
    await page.waitForFunction(() => globalThis.deployment);
    await work(page);
    assert.deepEqual(errors, []);
  } finally {
    await page.close();
  }
}

const digitIs = (page, digit) => page.waitForFunction((digit) => document.querySelector("#digit").textContent === digit, String(digit));
const told = (page, section = "#digits") => page.locator(`${section} .told`).textContent();
const shot = (page, name) => page.screenshot({ path: `${SCREENSHOTS}/${name}.png`, fullPage: true });

test("digits that are drawn are told as they are drawn", () =>
  story(async (page) => {
    for (const [digit, strokes] of Object.entries(DIGITS)) {
      await page.click("#clear");
      await digitIs(page, "–");
      await draw(page, "#paper", strokes);
      await digitIs(page, digit);
    }
    assert.match(await told(page), /^Answered by digits\/2; the model took/);
    await shot(page, "digit");
  }));

test("a digit can be drawn with the keyboard alone", () =>
  story(async (page) => {
    await page.focus("#paper");
    await page.keyboard.press("Space");
    for (let step = 0; step < 18; step++) await page.keyboard.press("ArrowDown");
    await digitIs(page, 1);
  }));

test("a broken version is given up for the next, and then kept away by its breaker", () =>
  story(async (page) => {
    await draw(page, "#paper", DIGITS[3]);
    await digitIs(page, 3);
    await page.getByRole("switch", { name: "Break digits/2" }).check();
    await page.waitForFunction(() => document.querySelector("#digits .told").textContent.includes("Answered by digits/1"));
    await digitIs(page, 3);
    const attempts = page.locator("#digits .attempts li");
    assert.match(await attempts.first().textContent(), /^digits\/2: trap/);
    assert.match(await attempts.last().textContent(), /^digits\/1: answered/);
    await shot(page, "broken");
    for (const digit of [0, 7]) {
      await page.click("#clear");
      await draw(page, "#paper", DIGITS[digit]);
      await digitIs(page, digit);
    }
    assert.match(await told(page), /^Answered by digits\/1;/, "requests go past a version whose breaker is open");
    await page.getByRole("switch", { name: "Break digits/2" }).uncheck();
  }));

test("the server answers where every version on this device fails, and the other way round", () =>
  story(async (page) => {
    await draw(page, "#paper", DIGITS[0]);
    await digitIs(page, 0);
    await page.evaluate(() => Promise.all(["1", "2"].map((version) => deployment.modelet("digits", version).damage())));
    await draw(page, "#paper", [[[5, 50], [6, 50]]]);
    await page.waitForFunction(() => document.querySelector("#digits .told").textContent.includes("Answered by digits/2 because"));
    assert.match(await page.locator("#digits .attempts li").last().textContent(), /^digits\.server\/1: answered/);
    await page.evaluate(() => Promise.all(["1", "2"].map((version) => deployment.modelet("digits", version).damage(false))));

    await page.getByRole("radio", { name: /the server first/ }).check();
    await page.click("#clear");
    await draw(page, "#paper", DIGITS[4]);
    await digitIs(page, 4);
    assert.match(await told(page), /^Answered by digits\/2;/);
    server.up = false;
    try {
      await page.click("#clear");
      await draw(page, "#paper", DIGITS[2]);
      await digitIs(page, 2);
      assert.match(await told(page), /Answered by digits\/\d because the first choice failed \(load\)/);
    } finally {
      server.up = true;
    }
  }));

test("a file is named, and the digest of what answered is that of the file", () =>
  story(async (page) => {
    await page.setInputFiles("#file", "README.md");
    await page.waitForFunction(() => document.querySelector("#kind").textContent === "README.md: markdown");
    await page.setInputFiles("#file", "models/make.py");
    await page.waitForFunction(() => document.querySelector("#kind").textContent === "make.py: python");
    await shot(page, "file");
    const row = page.locator('[data-version="magika/1"]');
    assert.match(await row.textContent(), /digest checked/);
    const inspected = execFileSync(MODELET, ["inspect", "--json", `${REPOSITORY}/magika/1/model.wasm`]);
    const sha256 = await page.evaluate(() => deployment.modelet("magika", "1").sha256);
    assert.equal(sha256, JSON.parse(inspected).sha256);
  }));

test("any model can be asked in JSON", () =>
  story(async (page) => {
    await page.selectOption("#model", "iris");
    await page.fill("#request", '[{"name": "X", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]');
    await page.click("#ask");
    await page.waitForFunction(() => document.querySelector("#response").textContent.startsWith("iris/1,"));
    assert.match(await page.locator("#response").textContent(), /"name":"label".*"data":\["0"\]/);
    await page.fill("#request", '[{"name": "Y", "datatype": "FP32", "shape": [1], "data": [1]}]');
    await page.click("#ask");
    await page.waitForFunction(() => document.querySelector("#response").textContent.includes("has no input `Y`"));
  }));

for (const scheme of ["light", "dark"]) {
  test(`on a phone nothing runs over the edge, ${scheme}`, () =>
    story(async (page) => {
      await page.emulateMedia({ colorScheme: scheme });
      await draw(page, "#paper", DIGITS[2]);
      await digitIs(page, 2);
      const [inside, all] = await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth]);
      assert.ok(all <= inside, `${all} > ${inside}`);
      await shot(page, `phone-${scheme}`);
    }, { width: 360, height: 740 }));
}
