/**
 * A recipe file as plain values, with the place of every value.
 *
 * 1. YAML 1.2 through the `yaml` package; duplicate keys and several documents are errors.
 * 2. Each value's path (`customise.users.0.name`) maps to file, line and column.
 * 3. Merging keeps the places of both sides, so an error names the file that the value is from.
 */
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from 'yaml'
import { OsflashError } from '../../errors.ts'

/** Where a value was written; `folder` is what its relative paths start from. */
export interface Place {
  readonly text: string
  readonly folder: string
}

/** Values of a recipe before they are checked. */
export interface RecipeDocument {
  readonly value: unknown
  readonly places: ReadonlyMap<string, Place>
}

export interface DocumentOrigin {
  readonly name: string
  readonly folder: string
}

/** @throws OsflashError `recipe` with file, line and column */
export function parseRecipeText(text: string, origin: DocumentOrigin): RecipeDocument {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true })
  const [error] = document.errors
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0])
    const [first = ''] = error.message.split('\n')
    throw new OsflashError(
      'recipe',
      `reading ${origin.name}:${line}:${col}: ${lowerFirst(first.replace(/ at line .*$/, ''))}`,
      { data: { file: origin.name, line, column: col } },
    )
  }
  const places = new Map<string, Place>()
  collectPlaces({ node: document.contents, path: '', places, lines, origin })
  return { value: plainValue(document, origin), places }
}

/** Deeper than any recipe is; an alias that holds itself has no end. */
const DEPTH_MAX = 32

function plainValue(document: Document, origin: DocumentOrigin): unknown {
  const value: unknown = attempt(() => document.toJS({ maxAliasCount: 100 }), origin)
  if (isDeeperThan(value, DEPTH_MAX)) {
    throw new OsflashError('recipe', `reading ${origin.name}: more than ${DEPTH_MAX} levels deep`)
  }
  return value
}

function attempt(read: () => unknown, { name }: DocumentOrigin): unknown {
  try {
    return read()
  } catch (cause) {
    const why = cause instanceof Error ? lowerFirst(cause.message) : String(cause)
    throw new OsflashError('recipe', `reading ${name}: ${why}`, { cause })
  }
}

function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((inner) => isDeeperThan(inner, levels - 1))
}

interface Visit {
  readonly node: unknown
  readonly path: string
  readonly places: Map<string, Place>
  readonly lines: LineCounter
  readonly origin: DocumentOrigin
}

function collectPlaces(visit: Visit): void {
  const { node, path, places, lines, origin } = visit
  const at = isNode(node) ? node.range?.[0] : undefined
  if (at !== undefined && !places.has(path)) {
    const { line, col } = lines.linePos(at)
    places.set(path, { text: `${origin.name}:${line}:${col}`, folder: origin.folder })
  }
  if (isMap(node)) {
    for (const { key, value } of node.items) {
      const keyText = isScalar(key) ? String(key.value) : String(key)
      const inner = joinPath(path, keyText)
      // The key's place, not the value's: that is where the eye has to go.
      collectPlaces({ ...visit, node: key, path: inner })
      collectPlaces({ ...visit, node: value, path: inner })
    }
  } else if (isSeq(node)) {
    for (const [position, item] of node.items.entries()) {
      collectPlaces({ ...visit, node: item, path: joinPath(path, String(position)) })
    }
  }
}

/** The path of a key below another. */
export const joinPath = (path: string, key: string): string =>
  path === '' ? key : `${path}.${key}`

/**
 * `over` laid over `base`: mappings are merged key by key, everything else (lists too) is
 * replaced; a null takes the base's value away.
 */
export function mergeDocuments(base: RecipeDocument, over: RecipeDocument): RecipeDocument {
  const places = new Map(base.places)
  const value = merge({ base: base.value, over: over.value, path: '', places })
  for (const [path, place] of over.places) places.set(path, place)
  return { value, places }
}

interface Merge {
  readonly base: unknown
  readonly over: unknown
  readonly path: string
  readonly places: Map<string, Place>
}

function merge({ base, over, path, places }: Merge): unknown {
  if (!isMapping(base) || !isMapping(over)) {
    for (const known of places.keys()) if (known.startsWith(`${path}.`)) places.delete(known)
    return over
  }
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(over)) {
    const inner = joinPath(path, key)
    if (value === null) delete merged[key]
    else merged[key] = merge({ base: merged[key], over: value, path: inner, places })
  }
  return merged
}

/** True for a YAML mapping, which is an object that is no list. */
export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The place of a path, or of the nearest thing above it. */
export function placeOf(document: RecipeDocument, path: string): Place | undefined {
  let at = path
  for (;;) {
    const place = document.places.get(at)
    if (place !== undefined || at === '') return place
    at = at.includes('.') ? at.slice(0, at.lastIndexOf('.')) : ''
  }
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1)
