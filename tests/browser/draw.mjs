// Digits as a person draws them: strokes in a square of 0 to 100.

const arc = (x, y, rx, ry, from, to) =>
  Array.from({ length: 25 }, (_, step) => {
    const angle = ((from + ((to - from) * step) / 24) * Math.PI) / 180;
    return [x + rx * Math.cos(angle), y + ry * Math.sin(angle)];
  });

export const DIGITS = {
  0: [arc(50, 50, 22, 36, -90, 270)],
  1: [[[38, 28], [54, 14], [54, 86]]],
  2: [[...arc(50, 32, 20, 18, -170, 40), [34, 84], [72, 84]]],
  3: [[...arc(48, 32, 19, 18, -150, 80), ...arc(48, 67, 21, 19, -80, 150)]],
  4: [[[50, 12], [26, 58], [76, 58]], [[60, 40], [60, 88]]],
  5: [[[68, 14], [36, 14], [34, 46], ...arc(48, 64, 21, 22, -110, 150)]],
  6: [[[60, 12], [42, 34], ...arc(50, 66, 20, 20, 180, 540)]],
  7: [[[28, 16], [72, 16], [46, 86]], [[36, 50], [66, 50]]],
  8: [[...arc(50, 32, 16, 17, 90, 450), ...arc(50, 67, 20, 18, -90, 270)]],
  9: [[...arc(48, 34, 19, 19, 0, 360), [66, 34], [62, 86]]],
};

/** Draws with the mouse on the element `selector`. */
export async function draw(page, selector, strokes) {
  await page.locator(selector).scrollIntoViewIfNeeded();
  const box = await page.locator(selector).boundingBox();
  const place = ([x, y]) => [box.x + (x / 100) * box.width, box.y + (y / 100) * box.height];
  for (const [first, ...rest] of strokes) {
    await page.mouse.move(...place(first));
    await page.mouse.down();
    for (const point of rest) await page.mouse.move(...place(point), { steps: 3 });
    await page.mouse.up();
  }
}
