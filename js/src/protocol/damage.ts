/** Bytes that are not what the format says: whatever reads bytes throws this. */
export class DamageError extends Error {
  constructor(expected: string, got: string) {
    super(`[rollout_viewer] expected ${expected}, got ${got}. Reload the page.`);
    this.name = "DamageError";
  }
}
