/** Bytes as text: five letters for four bytes, where base64 takes five and a third. */

/** Letters are those from `#` on, without `<` and `\\`; build.mjs writes them. */
export function fromBase85(text: string, size: number): Uint8Array<ArrayBuffer> {
  const words = new DataView(new ArrayBuffer((text.length / 5) * 4));
  let word = 0;
  for (let at = 0; at < text.length; ) {
    const code = text.charCodeAt(at);
    word = word * 85 + code - 35 - +(code > 60) - +(code > 92);
    if (++at % 5) continue;
    words.setUint32((at / 5) * 4 - 4, word);
    word = 0;
  }
  return new Uint8Array(words.buffer, 0, size);
}
