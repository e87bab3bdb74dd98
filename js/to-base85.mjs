/** Five letters for four bytes, as src/decode/base85.ts reads them; none is `<` or `\\`. */
export function toBase85(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4) {
    let word = 0;
    for (let i = at; i < at + 4; i++) word = word * 256 + (bytes[i] ?? 0);
    let letters = "";
    for (let i = 0; i < 5; i++, word = Math.floor(word / 85)) {
      const code = 35 + (word % 85);
      const isAfter = code >= 60;
      letters = String.fromCharCode(code + isAfter + (code + isAfter >= 92)) + letters;
    }
    text += letters;
  }
  return text;
}
