/** What is inside the SVG of an icon of Lucide, as build.mjs takes it out of the set. */
declare module "lucide:*" {
  const body: string;
  export default body;
}
