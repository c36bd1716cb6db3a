/**
 * Where a module beside this one lies, in a checkout (`.ts`) and in the built package (`.js`).
 *
 * 1. The caller names the source file: `moduleBeside(import.meta.url, './worker.ts')`.
 * 2. The name takes the extension of the caller's own address.
 *
 * Needed because the compiler rewrites the extensions of imports, but not those of addresses
 * that `new Worker` gets.
 */

/** The address of `./NAME.ts` or `./NAME.js` beside the module at `importMetaUrl`. */
export function moduleBeside(importMetaUrl: string, sourceName: `./${string}.ts`): URL {
  const extension = importMetaUrl.endsWith('.ts') ? '.ts' : '.js'
  return new URL(sourceName.replace(/\.ts$/, extension), importMetaUrl)
}
