// A real Chromium without a window, with a profile of its own.

import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";

const packages = createRequire(path.resolve("target/browser/package.json"));
const { chromium } = packages("playwright-core");

/** The folder of an npm package. */
export const packageFolder = (name) => path.resolve("target/browser/node_modules", name);

export async function browser() {
  const profile = mkdtempSync(path.join(tmpdir(), "modelet-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    viewport: { width: 1000, height: 900 },
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
  const close = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { context, close };
}

/** A page of which every error is one of the test. */
export async function open(context, url, errors) {
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    // What a test makes fail on purpose is told here as well.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) errors.push(message.text());
  });
  await page.goto(url);
  return page;
}
