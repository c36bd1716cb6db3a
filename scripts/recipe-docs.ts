/**
 * Renews what docs/ says about recipes from the schema of the program.
 *
 * 1. docs/recipe.schema.json: the JSON Schema that editors complete recipes with.
 * 2. docs/recipes.md: the table between the two marks; the rest is written by hand.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { recipeJsonSchema } from '../src/pack/recipe/schema.ts'
import { fieldTable } from './field-table.ts'

const docs = join(import.meta.dirname, '..', 'docs')
const schema = `${JSON.stringify(recipeJsonSchema(), null, 2)}\n`
await writeFile(join(docs, 'recipe.schema.json'), schema)
const page = await readFile(join(docs, 'recipes.md'), 'utf8')
const marked = /(<!-- fields -->\n)[\s\S]*?(<!-- end of fields -->)/
await writeFile(
  join(docs, 'recipes.md'),
  page.replace(marked, (_all, start, end) => `${start}${fieldTable()}\n${end}`),
)
