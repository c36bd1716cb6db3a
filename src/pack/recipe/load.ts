/**
 * Reads a recipe: `loadRecipe(path, { set })`.
 *
 * 1. The file, then its `extends` (at most 8 deep, no circles), each laid over its base.
 * 2. `--set` assignments, in order.
 * 3. Schema and rules.
 * 4. Paths on this machine become absolute. A relative path starts in the folder of the recipe
 *    that it was written in and must stay there, symbolic links followed.
 *
 * Not promised: that the named files are still there when the build reads them.
 */
import { readFile, realpath } from 'node:fs/promises'
import { basename, dirname, isAbsolute, relative, resolve } from 'node:path'
import { ioError, OsflashError } from '../../errors.ts'
import { applyAssignment } from './assignment.ts'
import { checkRecipe, recipeError } from './check.ts'
import {
  isMapping,
  mergeDocuments,
  parseRecipeText,
  placeOf,
  type RecipeDocument,
} from './document.ts'
import type { Recipe } from './schema.ts'

const EXTENDS_DEPTH_MAX = 8
const BUNDLE = 'osflash-linux-x64.tar.zst'
const BUNDLE_HINTS = ['npm run bundle', 'or copy the bundle of a release to this place']

export interface LoadedRecipe {
  readonly recipe: Recipe
  /** The values before defaults and before paths were made absolute: what identifiers are from. */
  readonly content: unknown
}

/**
 * @param options.set assignments as `--set` takes them, applied in order
 * @throws OsflashError `recipe` or `io`, with file, line and column
 */
export async function loadRecipe(
  path: string,
  options: { readonly set?: readonly string[] } = {},
): Promise<LoadedRecipe> {
  const file = resolve(path)
  let document = await readWithBase({ file, shown: path, below: [] })
  for (const text of options.set ?? []) {
    document = applyAssignment(document, text, dirname(file))
  }
  const recipe = checkRecipe(document)
  return { recipe: await withAbsolutePaths(recipe, document), content: document.value }
}

interface RecipeFileRequest {
  readonly file: string
  readonly shown: string
  /** The recipes that extend this one, so that a circle is seen. */
  readonly below: readonly string[]
}

async function readWithBase({ file, shown, below }: RecipeFileRequest): Promise<RecipeDocument> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw ioError(`reading recipe ${shown}`, cause)
  })
  const document = parseRecipeText(text, { name: shown, folder: dirname(file) })
  if (!isMapping(document.value)) {
    throw recipeError(document, [{ path: '', why: 'a recipe is a mapping', hints: [] }])
  }
  const { extends: base, ...own } = document.value
  if (base === undefined) return document
  if (typeof base !== 'string') {
    throw recipeError(document, [{ path: 'extends', why: 'must be a path', hints: [] }])
  }
  const baseFile = await hostPath(document, 'extends', base)
  if (below.includes(baseFile) || baseFile === file || below.length >= EXTENDS_DEPTH_MAX) {
    throw recipeError(document, [{ path: 'extends', why: 'goes in a circle', hints: [] }])
  }
  const request = { file: baseFile, shown: shownBase(shown, base), below: [...below, file] }
  return mergeDocuments(await readWithBase(request), { ...document, value: own })
}

function shownBase(shown: string, base: string): string {
  const folder = dirname(shown)
  return isAbsolute(base) || folder === '.' ? base : `${folder}/${base}`
}

/** Makes the paths that name something on this machine absolute. */
async function withAbsolutePaths(recipe: Recipe, document: RecipeDocument): Promise<Recipe> {
  const at = (key: string, path: string) => hostPath(document, key, path)
  const source = { ...recipe.source }
  for (const kind of ['directory', 'tar', 'disk'] as const) {
    const path = source[kind]
    if (path !== undefined) source[kind] = await at(`source.${kind}`, path)
  }
  if (source.debian?.keyring !== undefined) {
    const keyring = await at('source.debian.keyring', source.debian.keyring)
    source.debian = { ...source.debian, keyring }
  }
  const withSource = async <Item extends { readonly source?: string | undefined }>(
    items: readonly Item[],
    key: string,
  ): Promise<Item[]> =>
    Promise.all(
      items.map(async (item, position) =>
        item.source === undefined
          ? item
          : { ...item, source: await at(`${key}.${position}.source`, item.source) },
      ),
    )
  const files = await withSource(recipe.customise.files, 'customise.files')
  const scripts = await withSource(recipe.customise.scripts, 'customise.scripts')
  const archives = await withSource(recipe.customise.archives, 'customise.archives')
  return { ...recipe, source, customise: { ...recipe.customise, archives, files, scripts } }
}

async function hostPath(document: RecipeDocument, key: string, path: string): Promise<string> {
  const place = placeOf(document, key)
  const folder = await realpath(place?.folder ?? '.')
  const full = isAbsolute(path) ? path : resolve(folder, path)
  const real = await realpath(full).catch((cause: unknown) => {
    throw missing(path, ioError(`reading ${place?.text ?? key}: ${key}: ${path}`, cause))
  })
  const fromFolder = relative(folder, real)
  if (!isAbsolute(path) && (fromFolder.startsWith('..') || isAbsolute(fromFolder))) {
    throw new OsflashError(
      'recipe',
      `reading ${place?.text ?? key}: ${key}: ${path} lies outside the recipe's folder`,
      { data: { key, path }, hints: ['give an absolute path to allow it'] },
    )
  }
  return real
}

/** The bundle of the rescue recipe is made, not kept: a fresh checkout has none. */
function missing(path: string, error: OsflashError): OsflashError {
  if (basename(path) !== BUNDLE) return error
  const { code, message, data, cause } = error
  return new OsflashError(code, message, { data, cause, hints: BUNDLE_HINTS })
}
