/** Whether two values are equal; arrays are compared item by item. */
export function isSame(a: unknown, b: unknown): boolean {
  if (!Array.isArray(a) || !Array.isArray(b)) return Object.is(a, b);
  return a.length === b.length && a.every((value, index) => isSame(value, b[index]));
}
