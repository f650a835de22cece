// A modelet's bytes, from the cache or from where they lie, and never unlike their digest.

const CACHE = "modelet-web";

/** `sha256`, if it is known, is that of the whole file in lower-case hexadecimal. */
export async function fetchModelet({ url, sha256, cache, progress }) {
  if (!globalThis.crypto?.subtle) {
    throw new Error("this page cannot check digests: it must come over HTTPS or from this machine");
  }
  const store = cache && globalThis.caches ? await caches.open(CACHE).catch(() => undefined) : undefined;
  const kept = store && sha256 && (await store.match(key(sha256)));
  if (kept) {
    const bytes = new Uint8Array(await kept.arrayBuffer());
    if ((await hex(bytes)) === sha256) return { bytes, digest: sha256, fromCache: true };
    await store.delete(key(sha256));
  }
  const bytes = await download(url, progress);
  const digest = await hex(bytes);
  if (sha256 && digest !== sha256) {
    throw new Error(`${url} has the digest sha256:${digest} and not sha256:${sha256}: it is not the file that is wanted`);
  }
  // A copy that does not fit is only fetched again.
  await store?.put(key(digest), new Response(bytes)).catch(() => {});
  return { bytes, digest, fromCache: false };
}

/** An address of this page's own, which nothing is fetched from. */
const key = (digest) => new URL(`/.modelet-web/${digest}`, location.origin).href;

async function download(url, progress) {
  const response = await fetch(url).catch((error) => {
    throw new Error(`${url} cannot be fetched: ${error.message}`);
  });
  if (!response.ok) throw new Error(`${url} cannot be fetched: status ${response.status}`);
  const total = Number(response.headers.get("content-length")) || undefined;
  const chunks = [];
  let received = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    received += value.length;
    progress(received, total);
  }
  const bytes = new Uint8Array(received);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

export async function hex(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
