// The package `modelet-web` by itself: what it computes, what it refuses, and that the page goes on.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { browser, open } from "./browser.mjs";
import { askInPage, cases, differs } from "./golden.mjs";
import { compressed, serve, site } from "./site.mjs";

const { MODELET, REPOSITORY, CACHE } = process.env;
const SITE = "target/browser/package-site";
const MODELS = ["iris", "digits", "wine", "diabetes", "magika"];

let chromium, server, served, page;
const errors = [];

before(async () => {
  rmSync(SITE, { recursive: true, force: true });
  execFileSync(MODELET, ["bundle", "web", REPOSITORY, "--output", SITE]);
  writeFileSync(`${SITE}/empty.html`, "<!doctype html><title>empty</title><link rel=icon href=data:,>");
  server = await serve(MODELET, REPOSITORY, CACHE);
  served = await site({ "/": SITE }, server);
  chromium = await browser();
  page = await open(chromium.context, `${served.url}/empty.html`, errors);
});

after(async () => {
  await chromium?.close();
  served?.close();
  server?.close();
  assert.deepEqual(errors, []);
});

const file = (model) => `models/${model}/1/model.wasm`;

test("a page has the package before it has any model, so it is small", () => {
  assert.ok(compressed(`${SITE}/modelet-web`) <= 300_000, `${compressed(`${SITE}/modelet-web`)} bytes`);
});

for (const model of MODELS) {
  test(`golden cases of ${model}, here and at the server, from the same file`, async () => {
    const golden = cases(model);
    const { answers, sha256 } = await page.evaluate(askInPage, [`/${file(model)}`, golden.map(({ inputs }) => inputs)]);
    const bytes = readFileSync(`${REPOSITORY}/${model}/1/model.wasm`);
    assert.equal(sha256, createHash("sha256").update(bytes).digest("hex"));
    for (const [index, { name, inputs, outputs }] of golden.entries()) {
      assert.equal(differs(outputs, answers[index]), undefined, name);
      const request = { method: "POST", body: JSON.stringify({ inputs }) };
      const response = await fetch(`http://${server.address}/v2/models/${model}/versions/1/infer`, request);
      const there = (await response.json()).outputs;
      assert.equal(differs(there, answers[index], () => 1e-5), undefined, `${name}, beside the server`);
    }
  });
}

/** What `load` says of a file; the files lie in the site as they are served. */
async function refused(name, bytes, options) {
  if (bytes) {
    mkdirSync(`${SITE}/wrong`, { recursive: true });
    writeFileSync(`${SITE}/wrong/${name}`, bytes);
  }
  return page.evaluate(async ([url, options]) => {
    const { load } = await import("/modelet-web/index.js");
    return load(url, options).then(() => "loaded", (error) => `${error.trigger}: ${error.message}`);
  }, [bytes ? `/wrong/${name}` : name, options]);
}

test("what is not the file that is wanted is refused", async () => {
  const good = readFileSync(`${SITE}/${file("iris")}`);
  const wanted = { sha256: createHash("sha256").update(good).digest("hex"), cache: false };
  const changed = Buffer.from(good);
  changed[good.length >> 1] ^= 1;
  assert.match(await refused("changed", changed, wanted), /^load: .*is not the file that is wanted/);
  assert.match(await refused("page.html", Buffer.from("<html>")), /^load: not a WebAssembly file/);
  assert.match(await refused("cut", good.subarray(0, good.length - 1000)), /^load: /);
  assert.match(await refused("module", good.subarray(0, 8).fill(1, 4, 5).fill(0, 6)), /^load: this is a core/);
  assert.match(await refused("/nowhere.wasm"), /^load: .*status 404/);
});

test("a file that says other things than its model is refused", async () => {
  const text = readFileSync(`${SITE}/${file("iris")}`).toString("latin1");
  // The last is the one in the metadata, which is the last section.
  const at = text.lastIndexOf('"FP32"');
  const lying = Buffer.from(`${text.slice(0, at)}"FP64"${text.slice(at + 6)}`, "latin1");
  assert.match(await refused("lying", lying), /does not have the signature that its file declares/);
  const contract = Buffer.from(text.replaceAll("modelet:model/inference@0.1.0", "modelet:model/inference@0.9.0"), "latin1");
  assert.match(await refused("contract", contract), /does not export `modelet:model\/inference@0\.1\.0`/);
});

test("a file comes from the cache the second time, and is checked there too", async () => {
  const url = `/${file("wine")}`;
  const sha256 = createHash("sha256").update(readFileSync(`${SITE}${url}`)).digest("hex");
  const [{ inputs }] = cases("wine");
  const ask = () => page.evaluate(askInPage, [url, [inputs], { sha256 }]);
  await ask();
  assert.equal((await ask()).fromCache, true);
  await page.evaluate(async (sha256) => {
    const cache = await caches.open("modelet-web");
    await cache.put(`/.modelet-web/${sha256}`, new Response("something else"));
  }, sha256);
  assert.equal((await ask()).fromCache, false);
});

test("the page goes on while a model is loaded and run, and a late answer is given up", async () => {
  const [{ inputs }] = cases("magika");
  const story = await page.evaluate(async ([url, inputs]) => {
    const { load } = await import("/modelet-web/index.js");
    let ticks = 0;
    const ticking = setInterval(() => ticks++, 5);
    let progress = 0;
    const modelet = await load(url, { cache: false, onProgress: () => progress++ });
    for (let call = 0; call < 5; call++) await modelet.infer(inputs);
    clearInterval(ticking);
    // Behind these, which end with it, the worker cannot be in time, whenever the page looks.
    for (let call = 0; call < 20; call++) modelet.infer(inputs).catch(() => {});
    const late = await modelet.infer(inputs, { timeoutMs: 1 }).catch((error) => error.trigger);
    const { outputs } = await modelet.infer(inputs);
    modelet.close();
    const closed = await modelet.infer(inputs).catch((error) => error.trigger);
    return { ticks, progress, late, after: outputs.length, closed };
  }, [`/${file("magika")}`, inputs]);
  assert.ok(story.ticks >= 10, `${story.ticks} ticks`);
  assert.ok(story.progress > 1);
  assert.deepEqual([story.late, story.after, story.closed], ["deadline", 1, "load"]);
});

test("one request leaves nothing in the memory of the next", async () => {
  const [{ inputs }] = cases("digits");
  const same = await page.evaluate(async ([url, inputs]) => {
    const { load } = await import("/modelet-web/index.js");
    const modelet = await load(url);
    const text = async () => JSON.stringify((await modelet.infer(inputs)).outputs, (_, value) => (typeof value === "bigint" ? String(value) : value));
    const first = await text();
    const wrong = await modelet.infer([{ ...inputs[0], shape: [2, 2] }]).catch((error) => [error.trigger, error.message]);
    await modelet.damage();
    const trap = await modelet.infer(inputs).catch((error) => error.trigger);
    await modelet.damage(false);
    const second = await text();
    modelet.close();
    return { same: first === second, wrong, trap };
  }, [`/${file("digits")}`, inputs]);
  assert.equal(same.same, true);
  assert.equal(same.trap, "trap");
  assert.equal(same.wrong[0], undefined);
  assert.match(same.wrong[1], /does not take shape|takes \d+ bytes/);
});

test("weights, keys, rules, named versions and static answers are the policy's", async () => {
  const [{ inputs }] = cases("digits");
  const story = await page.evaluate(async ([url, inputs]) => {
    const { Deployment } = await import("/modelet-web/index.js");
    const policy = {
      labels: { old: 1 },
      traffic: { weights: { 1: 30, 2: 70 }, match: [{ header: "x-old", version: "old" }] },
      fallback: { chain: [{ static: '[{"name": "digit", "datatype": "INT64", "shape": [1], "data": [-1]}]' }] },
    };
    const deployment = await Deployment.open({ models: { digits: { policy, versions: { 1: { url }, 2: { url } } } } });
    const by = async (caller) => (await deployment.infer("digits", inputs, caller)).servedBy;
    const keys = Array.from({ length: 60 }, (_, key) => `user ${key}`);
    const first = [];
    for (const key of keys) first.push(await by({ key }));
    const again = [];
    for (const key of keys) again.push(await by({ key }));
    const rule = await by({ headers: { "X-Old": "1" } });
    const named = await by({ version: "2" });
    for (const version of ["1", "2"]) await deployment.modelet("digits", version).damage();
    const reply = await deployment.infer("digits", inputs);
    const pinned = await deployment.infer("digits", inputs, { version: "2" }).catch((error) => error.trigger);
    const unknown = await Deployment.open({ models: { digits: { policy: { traffic: { wieghts: {} } }, versions: {} } } }).catch((error) => error.message);
    deployment.close();
    return {
      ones: first.filter((version) => version === "digits/1").length, sticky: String(first) === String(again), rule, named, pinned, unknown,
      answer: [reply.servedBy, reply.fallbackReason, String(reply.outputs[0].data[0])],
    };
  }, [`/${file("digits")}`, inputs]);
  assert.ok(story.ones > 5 && story.ones < 35, String(story.ones));
  assert.equal(story.sticky, true);
  assert.deepEqual([story.rule, story.named, story.pinned], ["digits/1", "digits/2", "trap"]);
  assert.deepEqual(story.answer, ["static", "trap", "-1"]);
  assert.match(story.unknown, /wieghts/);
});
