/**
 * Turns the values of a recipe into a checked recipe, or into one error that names the place.
 *
 * 1. The schema fills defaults and refuses unknown keys; the nearest known key is the hint.
 * 2. Rules between fields follow.
 * 3. Of several faults the first one is the error, and the others are counted.
 */
import type { z } from 'zod'
import { OsflashError } from '../../errors.ts'
import { isMapping, joinPath, placeOf, type RecipeDocument } from './document.ts'
import { nearestWord } from './nearest.ts'
import { type Fault, recipeFaults } from './rules.ts'
import { type Recipe, recipeJsonSchema, recipeSchema } from './schema.ts'

/** @throws OsflashError `recipe` (data: key, faults) */
export function checkRecipe(document: RecipeDocument): Recipe {
  const result = recipeSchema.safeParse(document.value)
  if (!result.success) throw recipeError(document, result.error.issues.flatMap(faultsOfIssue))
  const faults = recipeFaults(result.data)
  if (faults.length > 0) throw recipeError(document, faults)
  return result.data
}

/** The error for a list of faults, of which the first is told. */
export function recipeError(document: RecipeDocument, faults: readonly Fault[]): OsflashError {
  const [fault] = faults
  if (fault === undefined) return new OsflashError('unexpected', 'checking a recipe: no fault')
  const place = placeOf(document, fault.path)?.text ?? 'recipe'
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : ''
  const key = fault.path === '' ? '' : `${fault.path}: `
  return new OsflashError('recipe', `reading ${place}: ${key}${fault.why}${more}`, {
    data: { place, key: fault.path, faults: faults.length },
    hints: fault.hints,
  })
}

function faultsOfIssue(issue: z.core.$ZodIssue): Fault[] {
  const path = issue.path.map(String).reduce(joinPath, '')
  if (issue.code !== 'unrecognized_keys') {
    return [{ path, why: lowerFirst(issue.message), hints: [] }]
  }
  return issue.keys.map((key) => {
    const near = nearestWord(key, knownKeys(issue.path))
    const hints = near === undefined ? [] : [`the nearest known key is ${near}`]
    return { path: joinPath(path, key), why: 'unknown key', hints }
  })
}

/** The keys that the published schema knows at a path. */
function knownKeys(path: readonly PropertyKey[]): readonly string[] {
  let schema: unknown = recipeJsonSchema()
  for (const key of path) {
    if (!isMapping(schema)) return []
    schema = isMapping(schema.properties) ? schema.properties[String(key)] : schema.items
  }
  return isMapping(schema) && isMapping(schema.properties) ? Object.keys(schema.properties) : []
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1)
