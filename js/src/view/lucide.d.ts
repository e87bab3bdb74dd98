/** The shapes of an icon of Lucide, as build.mjs takes it out of the set. */
declare module "lucide:*" {
  const shapes: (string | [tag: string, attributes: Record<string, string>])[];
  export default shapes;
}
